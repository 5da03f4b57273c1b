"""Prediction: request → plan → tiles → events."""
