"""The formal guarantee: the noise that a budget (epsilon, delta) requires, and settings that it excludes."""
