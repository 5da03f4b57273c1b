"""The command line, ``sparsessp``."""
