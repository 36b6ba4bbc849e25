"""What the project is developed with. Nothing here is needed to serve."""
