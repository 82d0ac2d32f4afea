"""Measurements of the product: how long it takes, how well intervals hold, what attacks find."""
