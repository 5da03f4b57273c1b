"""Simulated colonies: cells, their structures, and how a microscope sees them."""
