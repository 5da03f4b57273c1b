"""Widgets that the docks share."""
