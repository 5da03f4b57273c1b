"""The Plan sampling dock."""
