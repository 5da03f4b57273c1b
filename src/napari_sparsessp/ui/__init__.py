"""The docks. Only this folder knows napari and Qt, and none of it imports torch."""
