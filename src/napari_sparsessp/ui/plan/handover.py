"""From Plan to Predict: the same stack, model and ratio, chosen in the other dock."""

from collections.abc import Sequence
from typing import Any

from qtpy.QtWidgets import QWidget

from napari_sparsessp.errors import InputError
from napari_sparsessp.ui.dock import open_predict
from napari_sparsessp.ui.plan.choice import PlanChoice


def open_in_predict(
    viewer: Any,
    widget: QWidget,
    choice: PlanChoice,
    structures: Sequence[str],
    ratio: int,
) -> Any:
    """Open the viewer's Predict dock with what was planned; nothing is started.

    Parameters
    ----------
    viewer : napari.Viewer
    widget : QWidget
        The Plan dock; Predict opens as a tab beside it.
    choice : PlanChoice
        What was measured.
    structures : sequence of str
        Those that were measured.
    ratio : int
        What is to be simulated from the dense stack.

    Returns
    -------
    PredictDock

    Raises
    ------
    InputError
        A prediction is running there.
    """
    dock = open_predict(viewer, beside=widget)
    if dock.run_in_progress is not None:
        raise InputError(
            "Predict is busy; wait for its prediction or cancel it, then use the ratio"
        )
    form, stack = dock.form, choice.stack
    form.input.choose_layer(stack.layer)
    form.input.type_voxel_size(stack.voxel_size)
    if stack.card is not None:
        form.topology.set_card(stack.card)
        form.show_model()
    form.structures.tick(structures)
    form.input.changed.emit()
    dock.look_ahead()  # it offers channels and axes, which can be chosen then
    if stack.leading is not None:
        form.input.axis.set_value(stack.leading)
    if stack.channel is not None:
        place = form.input.channel_box.findData(stack.channel)
        form.input.channel_box.setCurrentIndex(place)
    form.sampling.set_ratio(float(ratio) if ratio > 1 else None)
    form.sampling.set_simulate(ratio > 1)
    dock.look_ahead()
    return dock
