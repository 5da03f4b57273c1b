"""Evaluation: figures of how good a prediction is."""
