"""The Models dock, and the import of checkpoints."""
