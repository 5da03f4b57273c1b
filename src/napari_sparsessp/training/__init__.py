"""Training: simulated colonies → patches → loop → a model with its card."""
