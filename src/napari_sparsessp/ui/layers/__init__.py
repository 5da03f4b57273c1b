"""Between napari's layers and our volumes: reading, filling, marking, saving."""
