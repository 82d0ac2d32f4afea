"""distill: train the Student only on synthetic images and soft labels."""
