"""Forms by magicgui: what is declared beside a field is what the user sees."""

import gc
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

from napari_sparsessp.errors import InputError
from napari_sparsessp.ui.widgets.forms import Form

if TYPE_CHECKING:
    import napari


def numbers(text):
    try:
        return tuple(int(one) for one in text.split(","))
    except ValueError:
        raise ValueError("r has to be whole numbers, such as 1, 2, 4") from None


@dataclass(frozen=True)
class Options:
    mean: Annotated[bool, {"label": "Steadier", "tooltip": "Slower."}] = False
    memory: Annotated[
        float | None,
        {"label": "At most", "unit": " GB", "none": "automatic", "decimals": 1},
    ] = None
    patch: Annotated[int, {"label": "Patch", "min": 8, "max": 64, "step": 8}] = 16
    loss: Annotated[
        Literal["mse", "l1"],
        {
            "label": "Loss",
            "choices": [("mse", "squared error", "As published."), ("l1", "absolute")],
        },
    ] = "mse"
    ratios: Annotated[
        tuple[int, ...] | None,
        {
            "label": "Every r-th plane",
            "none": "those of the model",
            "read": numbers,
            "write": lambda values: ", ".join(map(str, values)),
        },
    ] = None
    file: Annotated[Path | None, {"label": "List", "filter": "CSV (*.csv)"}] = None
    name: Annotated[str, {"label": "Name", "above": True}] = ""
    hidden: int = 7


@pytest.fixture
def form(added):
    return added(Form(Options))


def test_defaults_are_shown_and_come_back(form):
    assert form.values() == Options()
    assert form.native("memory").text() == "automatic"
    assert form.native("loss").currentText() == "squared error"
    assert form.native("ratios").placeholderText() == "those of the model"


def test_values_are_set_without_a_signal_and_come_back(form, qtbot):
    wanted = Options(True, 1.5, 32, "l1", (1, 2, 4), Path("/a.csv"), "x", 9)
    with qtbot.assertNotEmitted(form.changed):
        form.set(wanted)
    assert form.values() == wanted
    assert form.native("memory").text() == "1.5 GB"
    assert form.native("ratios").text() == "1, 2, 4"
    with qtbot.assertNotEmitted(form.changed):
        form.update(mean=False)
    assert form.get("mean") is False


def test_each_change_of_the_user_is_one_signal(form, qtbot):
    heard = []
    form.changed.connect(lambda: heard.append(form.values()))
    form.native("mean").click()
    form.native("patch").stepUp()
    form.native("loss").setCurrentIndex(1)
    qtbot.keyClicks(form.native("ratios"), "2,4")
    assert len(heard) == 3, "what is half typed is no value"
    form.native("ratios").editingFinished.emit()
    assert len(heard) == 4
    assert heard[-1] == Options(True, None, 24, "l1", (2, 4))


def test_what_cannot_be_read_is_said_at_its_row(form):
    form.native("ratios").setText("often")
    assert form.problem() == "r has to be whole numbers, such as 1, 2, 4"
    with pytest.raises(InputError, match="whole numbers"):
        form.values()
    labels = form.findChildren(QLabel)
    shown = [one for one in labels if one.text() == form.problem()]
    assert [one.isHidden() for one in shown] == [False]
    form.native("ratios").setText("2")
    assert form.problem() == ""


def test_rows_have_names_and_tips_and_are_hidden_and_locked(form):
    assert form.native("mean").text() == "Steadier"
    assert form.native("patch").accessibleName() == "Patch"
    role = Qt.ItemDataRole.ToolTipRole
    assert form.native("loss").itemData(0, role) == "As published."
    form.show_row("patch", False)
    labels = [one for one in form.findChildren(QLabel) if one.text() == "Patch"]
    assert all(one.isHidden() for one in labels)
    form.enable_row("mean", False, "Not now.")
    assert not form.native("mean").isEnabled()
    assert form.native("mean").toolTip() == "Not now."
    form.enable_row("mean", True)
    assert form.native("mean").toolTip() == "Slower."


def test_offered_choices_keep_the_chosen_one(form, qtbot):
    form.update(loss="l1")
    with qtbot.assertNotEmitted(form.changed):
        form.offer("loss", [("l1", "absolute"), ("huber", "in between")])
    assert form.values().loss == "l1"


def test_nothing_is_cut_in_a_narrow_dock_with_large_letters(form):
    form.setStyleSheet("* { font-size: 15pt; }")
    form.resize(340, 800)
    form.show()
    assert form.minimumSizeHint().width() <= 340
    assert form.native("loss").width() > 120, "a choice is more than its arrow"
    for label in form.findChildren(QLabel):
        if label.isVisible():
            assert label.width() >= label.sizeHint().width() or label.wordWrap()


def test_a_form_of_some_rows_reads_them_alone(added):
    form = added(Form(Options, only=["ratios", "patch"]))
    assert form.chosen() == {"ratios": None, "patch": 16}
    form.native("ratios").setText("one")
    assert form.chosen() == {"patch": 16}
    assert "whole numbers" in form.problem()


@dataclass(frozen=True)
class Licence:
    licence: Annotated[str, {"label": "Licence", "suggestions": ("CC0", "MIT")}] = ""


def test_any_text_may_be_typed_where_some_are_suggested(qtbot, added):
    form = added(Form(Licence))
    assert form.values() == Licence("")
    box = form.native("licence")
    with qtbot.waitSignal(form.changed):
        box.lineEdit().setText("our own")
    assert form.values() == Licence("our own")
    with qtbot.waitSignal(form.changed):
        box.setCurrentIndex(1)
    assert form.values() == Licence("MIT")
    with qtbot.assertNotEmitted(form.changed):
        form.set(Licence("ours"))
    assert form.values() == Licence("ours")


@dataclass(frozen=True)
class Layers:
    stack: Annotated[Image | None, {"label": "Stack", "none": "– no stack –"}] = None
    deep: Annotated[
        Image | None, {"label": "Deep", "layers": lambda one: one.ndim == 3}
    ] = None
    cells: Annotated[Labels | None, {"label": "Cells"}] = None


def test_layer_boxes_follow_the_viewer(qtbot, added):
    viewer = ViewerModel()
    form = added(Form(Layers, viewer))
    flat = viewer.add_image(np.zeros((4, 4)), name="flat")
    deep = viewer.add_image(np.zeros((3, 4, 4)), name="deep")
    viewer.add_labels(np.zeros((4, 4), int), name="cells")

    def texts(name):
        box = form.native(name)
        return [box.itemText(one) for one in range(box.count())]

    assert texts("stack") == ["– no stack –", "flat", "deep"]
    assert texts("deep") == ["–", "deep"]
    assert texts("cells") == ["–", "cells"]
    form.update(stack=flat, deep=deep)
    flat.name = "other"
    assert texts("stack") == ["– no stack –", "other", "deep"]
    assert form.values().stack is flat
    with qtbot.waitSignal(form.changed):
        viewer.layers.remove(flat)
    assert form.values() == Layers(None, deep, None)


@dataclass(frozen=True)
class Border:
    share: Annotated[
        float, {"label": "Share", "widget_type": "FloatSlider", "max": 1.0}
    ] = 0.5
    over: Annotated["napari.layers.Image | None", {"label": "Over"}] = None


def test_sliders_and_rows_that_are_renamed_and_offer_other_layers(qtbot, added):
    viewer = ViewerModel()
    first = viewer.add_image(np.zeros((4, 4)), name="first")
    second = viewer.add_image(np.zeros((4, 4)), name="second")
    accepted = [first]
    form = added(
        Form(Border, viewer, {"over": {"layers": lambda one: one in accepted}})
    )
    with qtbot.waitSignal(form.changed):
        form.magic("share").value = 0.25
    assert form.values() == Border(0.25, None)
    accepted[:] = [second]
    with qtbot.assertNotEmitted(form.changed):
        form.offer_layers()
        form.update(over=second)
    assert form.values() == Border(0.25, second)
    form.rename_row("over", "Over DNA")
    assert "Over DNA" in [label.text() for label in form.findChildren(QLabel)]


def test_a_form_that_is_gone_is_not_called_by_the_viewer(qtbot):
    viewer = ViewerModel()
    holder = QWidget()
    form = Form(Layers, viewer)
    form.setParent(holder)
    reference = weakref.ref(form)
    del form
    with qtbot.waitSignal(holder.destroyed):
        holder.deleteLater()
    gc.collect()
    viewer.add_image(np.zeros((4, 4)))
    assert reference() is None
