"""A published checkpoint in a real viewer: from the file to predicted layers."""

import argparse

import numpy as np
import pytest

from fake_engine import MICRO, light
from napari_sparsessp.ui import model_shelf
from napari_sparsessp.ui.engine_link import InstalledEngine
from napari_sparsessp.ui.import_dialog import ImportState
from napari_sparsessp.ui.predict_dock import PredictDock
from napari_sparsessp.ui.run_panel import RunState
from napari_sparsessp.ui.stream_layers import KEY


@pytest.fixture
def checkpoint(tmp_path):
    """A RepMode file with few channels and random weights, as published."""
    import torch

    path = tmp_path / "model_best_0100.p"
    torch.manual_seed(0)
    content = {
        "nn_module": "RepMode",
        "opts": argparse.Namespace(adopted_datasets=["lamin_b1", "dna"]),
        "nn_state": repmode_state(),
        "count_iter": 1,
        "count_epoch": 1,
    }
    torch.save(content, path)
    return path


def repmode_state(tasks=2, widths=(1, 2, 2, 2, 2), bottle=3, out=1):
    """The weights of a RepMode network by their published names."""
    import torch

    state = {}

    def norm(name, width):
        state[f"{name}.weight"] = torch.ones(width)
        state[f"{name}.bias"] = torch.zeros(width)
        state[f"{name}.running_mean"] = torch.zeros(width)
        state[f"{name}.running_var"] = torch.ones(width)
        state[f"{name}.num_batches_tracked"] = torch.tensor(1)

    def mode(name, first, second, last=False):
        for kind, size in (("5x5", 5), ("3x3", 3), ("1x1", 1)):
            shape = (second, first, size, size, size)
            state[f"{name}.expert_conv{kind}_conv"] = 0.1 * torch.randn(shape)
        for kind, size in (("3x3", 3), ("5x5", 5)):
            shape = (second, first, 1, 1, 1)
            state[f"{name}.expert_avg{kind}_conv"] = 0.1 * torch.randn(shape)
            pool = torch.full((size,) * 3, 1 / size**3)
            state[f"{name}.expert_avg{kind}_pool"] = pool
        state[f"{name}.gate.weight"] = torch.randn(5 * second, tasks)
        state[f"{name}.gate.bias"] = torch.randn(5 * second)
        if not last:
            norm(f"{name}.subsequent_layer.0", second)

    pairs = list(zip(widths, widths[1:], strict=False))
    for level, (first, second) in enumerate(pairs, 1):
        block = f"encoder_block{level}"
        mode(f"{block}.conv_more.conv1", first, second)
        mode(f"{block}.conv_more.conv2", second, second)
        state[f"{block}.conv_down.0.weight"] = torch.randn(second, second, 2, 2, 2)
        norm(f"{block}.conv_down.1", second)
    mode("bottle_block.conv1", widths[-1], bottle)
    mode("bottle_block.conv2", bottle, bottle)
    below = bottle
    for level in range(len(pairs), 0, -1):
        block, width = f"decoder_block{level}", widths[level]
        state[f"{block}.convt.0.weight"] = torch.randn(below, width, 2, 2, 2)
        norm(f"{block}.convt.1", width)
        mode(f"{block}.conv_less.conv1", 2 * width, width)
        mode(f"{block}.conv_less.conv2", width, width)
        below = width
    mode("conv_out", below, out, last=True)
    return state


@pytest.fixture
def real_dock(viewer):
    """The dock with the installed engine, and a dense stack to predict from."""
    viewer.add_image(light(16, 32, 48), name="bright-field", **DENSE)
    dock = PredictDock(viewer)
    assert isinstance(dock._engine, InstalledEngine)
    viewer.window.add_dock_widget(dock, name="Predict")
    return dock


DENSE = {**MICRO, "scale": (0.29,) * 3}


def test_a_checkpoint_is_used_after_two_clicks(
    real_dock, viewer, checkpoint, qtbot, finish, monkeypatch, own_models_folder
):
    dock = real_dock
    # first click: choose the file
    monkeypatch.setattr(model_shelf, "choose_checkpoint", lambda _p: str(checkpoint))
    dock.shelf.ask_import()
    dialog = dock.shelf.dialog
    qtbot.waitUntil(lambda: dialog.state is not ImportState.READING, timeout=60_000)
    assert dialog.state is ImportState.ASKING, dialog.message.text.text()
    assert "RepMode" in dialog.form.found_panel.headline.text()
    # second click: Import
    with qtbot.waitSignal(dialog.imported, timeout=60_000):
        dialog.import_button.click()

    card = dock.form.topology.card()
    assert card.conditioning == "repmode"
    assert card.scaling == "zscore"
    assert (own_models_folder / f"{card.id}.safetensors").is_file()
    rows = [row.structure.id for row in dock.form.structures.rows]
    assert rows == list(card.structures) == ["dna", "nuclear_envelope"]
    dock.look_ahead()
    assert "2 structures in 2 passes" in dock.form.foot.status.text()

    dock.run()
    finish(dock, timeout=120_000)
    assert not dock.form.foot.message.is_error, dock.form.foot.message.text.text()
    for id_ in rows:
        layer = dock.layers.layer(id_)
        assert layer.data.shape == (16, 32, 48)
        assert np.isfinite(layer.data).all()
        assert layer.data.std() > 0
        about = layer.metadata[KEY]
        assert about["request"]["model"] == card.id
    first, second = (dock.layers.layer(id_).data for id_ in rows)
    assert np.abs(first - second).max() > 0


def test_a_file_that_would_run_code_does_nothing(real_dock, tmp_path, qtbot):
    import pickle

    trap = tmp_path / "was_here"

    class Hostile:
        def __reduce__(self):
            return (trap.write_text, ("gotcha",))

    path = tmp_path / "model_best.p"
    path.write_bytes(pickle.dumps({"nn_state": Hostile()}))
    dock = real_dock
    before = dock.form.topology.card().id
    dock.shelf.import_file(path)
    dialog = dock.shelf.dialog
    qtbot.waitUntil(lambda: dialog.state is not ImportState.READING, timeout=60_000)
    assert dialog.message.is_error
    assert "\n" not in dialog.message.text.text()
    assert not trap.exists()
    assert dock.form.topology.card().id == before
    assert dock.form.foot.state is RunState.READY
    dialog.reject()


def test_the_menu_opens_dock_and_dialog(viewer, engine, monkeypatch):
    from napari._app_model import get_app_model

    asked = []
    monkeypatch.setattr(model_shelf, "choose_checkpoint", lambda p: asked.append(p))
    app = get_app_model()
    menu = app.menus.get_menu("napari/file/io_utilities")
    offered = [item.command.id for item in menu if hasattr(item, "command")]
    assert "napari-sparsessp.import_model" in offered
    app.commands.execute_command("napari-sparsessp.import_model").result()
    assert isinstance(asked[0], PredictDock)
    assert not asked[0].isHidden()
