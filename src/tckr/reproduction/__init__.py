"""The published experiments as commands: data sets, sweeps, published results, and our results beside them."""
