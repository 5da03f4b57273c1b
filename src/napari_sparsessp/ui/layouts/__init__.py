"""Ways to look at a prediction, and the way back to the user's own view."""
