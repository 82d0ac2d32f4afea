"""distill: train the Student on synthetic images and soft labels alone."""
