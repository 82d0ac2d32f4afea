"""caption: write one caption for every member image."""
