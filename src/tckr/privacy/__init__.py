"""The formal guarantee: what a budget (epsilon, delta) buys, and what a run may not do within it."""
