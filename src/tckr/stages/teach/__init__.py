"""teach: train the Teacher on the member records of one run."""
