"""caption: say in words what every member image shows."""
