"""The copied command gives the numbers that the dock has given."""

import os
import shlex
import subprocess
import sys

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from fake_engine import light
from images import write_stack
from napari_sparsessp import load_volume
from napari_sparsessp.cli.main import app_main
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.ui.layers.metadata import KEY, role_of
from napari_sparsessp.ui.napari_compat import layer_key
from napari_sparsessp.ui.predict.export import copy_command
from thin import save_random

SPARSE, DENSE = (1.16, 0.35, 0.25), (0.29, 0.29, 0.29)
OURS = "napari-sparsessp"


@pytest.fixture
def dock(viewer, thin_engine, tmp_path, monkeypatch):
    """A dock with the real engine and a thin model, and a folder for results."""
    monkeypatch.chdir(tmp_path)
    _, widget = viewer.window.add_plugin_dock_widget(OURS, "Predict")
    widget.form.structures.tick(["dna", "mitochondria"])
    return widget


@pytest.fixture
def opened(dock, viewer, qtbot, tmp_path):
    """Write an image, open it from the dock and choose it."""

    def go(array, axes, voxel_size, **more):
        path = write_stack(
            tmp_path / "my stack.ome.tif", array, axes, voxel_size, **more
        )
        with qtbot.waitSignal(dock._files.opened):
            dock._files.open(path)
        dock.refresh_now()
        return path

    return go


@pytest.fixture
def copied(dock, qtbot):
    """Copy the command line."""

    def go():
        with qtbot.waitSignal(dock.export.exported):
            dock.form.foot.menu.copy_action.trigger()
        return shlex.split(QApplication.clipboard().text())

    return go


@pytest.fixture
def same(dock, viewer, ran, copied, tmp_path):
    """Run in the dock and on the command line, and compare."""

    def go():
        ran(dock)
        made = {
            one.metadata[KEY]["channel"]: np.asarray(one.data)
            for one in viewer.layers
            if role_of(one)
        }
        assert made, dock.form.foot.message.text.text()
        words = copied()
        with pytest.raises(SystemExit) as end:
            app_main(words[1:])
        assert end.value.code == 0
        result = load_volume(tmp_path / words[-1])
        assert set(result.channel_names) == set(made)
        for id_, array in made.items():
            one = result.channel(id_) if "C" in result.axes else result
            np.testing.assert_allclose(one.numpy(), array, rtol=0, atol=1e-6)
        return words

    return go


def test_a_sparse_stack(opened, same):
    path = opened(light(6, 40, 48), "ZYX", SPARSE)
    words = same()
    assert words[:3] == ["sparsessp", "predict", str(path)]
    assert "--model=thin" in words
    assert not [word for word in words if word.startswith("--voxel-size")]


class TestOfWindowsOnePlaneApart:
    """A model whose windows move by one plane offers to move them by a third."""

    @pytest.fixture
    def thin_folder(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("windows")
        network = NetworkConfig(
            backbone="fcmae",
            depth=15,
            encoder_widths=(6, 8, 8),
            encoder_blocks=(1, 1, 1),
            decoder_blocks=1,
        )
        structures = ("dna", "mitochondria")
        save_random(folder / "thin.safetensors", network, structures=structures)
        return folder

    def test_fast_is_an_overlap(self, opened, same, dock):
        opened(light(18, 24, 32), "ZYX", DENSE)
        dock.form.options.rows.native("fast").setChecked(True)
        dock.refresh_now()
        assert dock.preview.plan.request.overlap == pytest.approx(2 / 3)
        words = same()
        assert [word for word in words if word.startswith("--overlap=0.66")]


def test_one_channel_of_several_with_uncertainty(opened, same, dock, viewer):
    array = np.stack([light(4, 40, 48, seed=1), light(4, 40, 48)])
    opened(array, "CZYX", SPARSE, channels=["other", "light"])
    dock.form.input.choose_layer(layer_key(viewer.layers[1]))
    dock.refresh_now()
    dock.form.options.rows.native("uncertainty").setChecked(True)
    words = same()
    assert "--channel=1" in words
    assert "--uncertainty" in words


def test_channels_within_one_layer(dock, viewer, same, tmp_path):
    array = np.stack([light(4, 40, 48, seed=1), light(4, 40, 48)])
    path = write_stack(tmp_path / "two.ome.tif", array, "CZYX", SPARSE)
    (layer,) = viewer.open(str(path), plugin="napari", units=("pixel", *["um"] * 3))
    layer.scale = (1, *SPARSE)
    dock.refresh_now()
    dock.form.input.channel_box.setCurrentIndex(1)
    dock.form.input.changed.emit()
    dock.refresh_now()
    assert dock.preview.request.channel == 1
    assert "--channel=1" in same()


def test_planes_left_out_of_a_dense_stack_with_a_truth(
    opened, same, dock, viewer, tmp_path, qtbot
):
    opened(light(16, 40, 48), "ZYX", DENSE)
    truth = np.stack([light(16, 40, 48, seed=3), light(16, 40, 48, seed=4)])
    names = ["DNA", "Golgi"]
    write_stack(tmp_path / "truth.ome.tif", truth, "CZYX", DENSE, channels=names)
    key = dock.form.input.layer_key()
    with qtbot.waitSignal(dock._files.opened):
        dock._files.open(tmp_path / "truth.ome.tif")
    dock.form.input.choose_layer(key)
    dock.refresh_now()
    dock.form.sampling.set_simulate(True)
    dock.form.sampling.set_ratio(4)
    dock.refresh_now()
    words = same()
    assert "--simulate-sparse" in words
    assert "--ratio=4.0" in words
    assert f"dna={tmp_path / 'truth.ome.tif'}:0" in words


def test_a_truth_that_was_mirrored_in_napari_is_left_out(
    opened, copied, dock, viewer, tmp_path, qtbot
):
    """Its file does not know; with it the command would give other scores."""
    opened(light(8, 40, 48), "ZYX", DENSE)
    key = dock.form.input.layer_key()
    path = tmp_path / "dna.ome.tif"
    write_stack(path, light(8, 40, 48, seed=3), "ZYX", DENSE, channels=["DNA"])
    with qtbot.waitSignal(dock._files.opened):
        dock._files.open(path)
    dock.form.input.choose_layer(key)
    dock.refresh_now()
    assert f"dna={path}" in copied()
    truth = viewer.layers[-1]
    truth.scale = (0.29, -0.29, 0.29)
    truth.translate = (0, 0.29 * 39, 0)  # over the same field
    dock.refresh_now()
    assert "dna" in dock.preview.truth
    assert f"dna={path}" not in copied()


@pytest.mark.parametrize("known", [True, False])
def test_another_voxel_size_than_the_file_says(opened, same, dock, viewer, known):
    opened(light(5, 40, 48), "ZYX", SPARSE if known else None)
    if known:
        viewer.layers[0].scale = (2.32, 0.3, 0.3)
    else:
        dock.form.input.type_voxel_size((2.32, 0.3, 0.3))
    dock.refresh_now()
    assert "--voxel-size=2.32,0.3,0.3" in same()


def test_a_file_whose_voxel_size_napari_has_not_read(dock, viewer, tmp_path, same):
    path = write_stack(tmp_path / "plain.ome.tif", light(5, 40, 48), "ZYX", SPARSE)
    viewer.open(str(path), plugin="napari")
    dock.refresh_now()
    assert "--voxel-size=0.29,0.29,0.29" in same()


def test_a_layer_without_a_file_can_be_saved_first(
    dock, viewer, same, ran, qtbot, tmp_path
):
    """Then its copy in the folder is what the command reads."""
    viewer.add_image(light(5, 40, 48), name="made", scale=SPARSE, units=("um",) * 3)
    dock.refresh_now()
    ran(dock)
    with qtbot.waitSignal(dock.export.failed):
        dock.export.copy()
    said = dock.form.foot.message.text.text()
    assert "save it first" in " ".join(said.split())
    menu = dock.form.foot.menu
    assert menu.entries.isVisible()
    assert menu.entries.activeAction() is menu.save_action
    menu.entries.close()
    with qtbot.waitSignal(dock.export.exported):
        dock.export.save(tmp_path / "all.ome.zarr")
    words = same()
    assert words[2] == str(tmp_path / "all.ome.zarr")
    assert "--scene=0" in words


def test_a_layer_that_is_not_its_file_is_reported(dock, opened, viewer, qtbot):
    opened(light(6, 40, 48), "ZYX", SPARSE)
    layer = viewer.layers[0]
    layer.data = np.asarray(layer.data)[:4]
    dock.refresh_now()
    with qtbot.waitSignal(dock.export.failed):
        dock.export.copy()
    said = dock.form.foot.message.text.text()
    assert "4 × 40 × 48" in said
    assert "6 × 40 × 48" in said


def test_a_shell_runs_what_was_copied_and_a_saved_request(
    opened, dock, viewer, ran, copied, tmp_path, qtbot
):
    opened(light(4, 40, 48), "ZYX", SPARSE)
    ran(dock)
    words = copied()
    with qtbot.waitSignal(dock.export.exported):
        dock.export.save_request(tmp_path / "request")
    command = QApplication.clipboard().text().removeprefix("sparsessp")
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -m napari_sparsessp.cli {command}",
        shell=True,
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with pytest.raises(SystemExit) as end:
        app_main(["predict", "--request", "request.yaml", "--out", "yaml.ome.zarr"])
    assert end.value.code == 0
    shown = np.asarray(viewer.layers["DNA · predicted · my stack"].data)
    for name in (words[-1], "yaml.ome.zarr"):
        one = load_volume(tmp_path / name).channel("dna").numpy()
        np.testing.assert_allclose(one, shown, rtol=0, atol=1e-6)


def test_the_layers_menu_and_compare_copy_it_too(
    opened, dock, viewer, ran, copied, qtbot
):
    opened(light(4, 40, 48), "ZYX", SPARSE)
    assert copy_command(viewer) is None  # a stack is no prediction
    ran(dock)
    words = copied()
    QApplication.clipboard().clear()
    viewer.layers.selection.active = viewer.layers["DNA · predicted · my stack"]
    copy_command(viewer)
    qtbot.waitUntil(lambda: QApplication.clipboard().text() != "")
    assert shlex.split(QApplication.clipboard().text()) == words
    _, compare = viewer.window.add_plugin_dock_widget(OURS, "Compare")
    QApplication.clipboard().clear()
    compare.form.foot.command_action.trigger()
    qtbot.waitUntil(lambda: QApplication.clipboard().text() != "")
    assert shlex.split(QApplication.clipboard().text()) == words
