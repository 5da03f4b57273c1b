"""How one network serves many structures: one file a method."""
