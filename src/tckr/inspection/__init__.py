"""A look at a data set before anything is computed on a model: what it is, what its pictures are, what repeats."""
