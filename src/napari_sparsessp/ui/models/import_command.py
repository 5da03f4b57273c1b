"""``File > IO Utilities > Import a model checkpoint``, also in the command palette."""

from typing import Any


def import_model(viewer: Any = None) -> None:
    """Open the Predict dock and ask for a checkpoint.

    Parameters
    ----------
    viewer : napari.Viewer, optional
        The current one where none is given.
    """
    if viewer is None:
        from napari import current_viewer

        viewer = current_viewer()
    if viewer is None:
        return
    holder, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
    holder.show()
    dock.shelf.ask_import()
