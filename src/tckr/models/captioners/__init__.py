"""Captioners: checkpoints that describe images in text."""
