"""*Layers > Data > Copy prediction as command line*, also in the command palette."""

from typing import Any

from qtpy.QtWidgets import QApplication

from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction.command_line import command_of, shell_text
from napari_sparsessp.ui.errand import Errand
from napari_sparsessp.ui.error_details import as_told
from napari_sparsessp.ui.layers.marks import is_prediction
from napari_sparsessp.ui.predict.replay import Told, replay_of, siblings, told_of


def copy_command(viewer: Any = None) -> Errand | None:
    """Copy the command line that gives the numbers of the selected prediction.

    Parameters
    ----------
    viewer : napari.Viewer, optional
        The current one where none is given.

    Returns
    -------
    Errand or None
        What looks the files up; None where there is nothing to look up.
    """
    if viewer is None:
        from napari import current_viewer

        viewer = current_viewer()
    chosen = None if viewer is None else viewer.layers.selection.active
    return copy_command_of(viewer, chosen)


def copy_command_of(viewer: Any, chosen: Any | None) -> Errand | None:
    """Copy the command line of a prediction and of what was predicted with it."""
    from napari.utils.notifications import show_warning

    try:
        if chosen is None or not is_prediction(chosen):
            raise InputError("select a predicted layer first")
        replay = replay_of(viewer, siblings(viewer, chosen))
    except Exception as error:
        show_warning(_sentence(as_told(error, "the command line")))
        return None
    errand = Errand(told_of, replay, parent=QApplication.instance())
    errand.returned.connect(_copy)
    errand.failed.connect(lambda error: show_warning(_sentence(error)))
    for signal in (errand.returned, errand.failed):
        signal.connect(lambda _what: errand.deleteLater())
    errand.start()
    return errand


def _copy(told: Told) -> None:
    from napari.utils.notifications import show_info

    clipboard = QApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(shell_text(command_of(told.request, told.out)))
    show_info(_sentence("; ".join(["The command line is copied", *told.notes])))


def _sentence(error: object) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
