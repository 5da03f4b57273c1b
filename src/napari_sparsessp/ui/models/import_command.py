"""``File > IO Utilities > Import a model checkpoint``, also in the command palette."""

from typing import Any

from napari_sparsessp.ui.dock import open_predict


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
    open_predict(viewer).shelf.ask_import()
