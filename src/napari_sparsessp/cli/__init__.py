"""The command line, ``sparsessp``: one file a command."""
