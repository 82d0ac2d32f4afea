"""Captioners: checkpoints that say in words what an image shows."""
