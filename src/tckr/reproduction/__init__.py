"""The published experiments as commands: benchmarks, their sweeps, the published figures, and ours beside them."""
