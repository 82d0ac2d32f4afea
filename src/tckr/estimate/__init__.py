"""estimate: run the pipeline on a few images, then say what all of them will take. Knows no stage's inside."""
