"""The look at a data set."""
