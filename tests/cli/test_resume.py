"""Stopped on the command line, and gone on with."""

import json
import signal

import numpy as np
import pytest
import tifffile
import zarr

from images import a_stack, write_stack
from napari_sparsessp.cli import predict
from napari_sparsessp.io import streaming
from napari_sparsessp.io.reading import load_volume

TILE = ("--tile", "8,16,16", "--device", "cpu", "--precision", "fp32")


@pytest.fixture(autouse=True)
def ctrl_c_is_heard():
    """Shells start jobs in the background with Ctrl-C ignored; tests may be one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def command(small_model, stack, tmp_path):
    """The words of a prediction of nine tiles."""

    def words(name, *options):
        out = ("--out", tmp_path / name, "--model", small_model)
        return ("predict", stack, *out, *TILE, *options)

    return words


@pytest.fixture
def interrupted(sparsessp, monkeypatch):
    """Run, and press Ctrl-C when so many tiles are done."""

    def run(after, *words):
        def press(tile):
            if tile.done == after:
                signal.raise_signal(signal.SIGINT)
            return ""

        with monkeypatch.context() as patch:
            patch.setattr(predict, "_running_scores", press)
            return sparsessp(*words)

    return run


@pytest.mark.parametrize("name", ["out.ome.zarr", "out.ome.tif"])
def test_ctrl_c_keeps_what_is_done_and_resume_goes_on(
    sparsessp, interrupted, refused, command, tmp_path, name
):
    code, out, err = interrupted(2, *command(name))
    assert code == 130
    assert out == ""
    assert "2 of 9 tiles are done and kept" in err
    assert "--resume" in err
    assert not (tmp_path / name).exists()
    assert "add --resume" in refused(*command(name))
    assert "another run, overlap" in refused(*command(name, "--resume", "--overlap", 0))
    report = tmp_path / "report.json"
    code, _, err = sparsessp(*command(name, "--resume", "--report", report))
    assert code == 0, err
    assert "2 tiles are done already" in err
    assert json.loads(report.read_text())["tiles"] == 9
    assert sparsessp(*command(f"whole-{name}"))[0] == 0
    ours, whole = (load_volume(tmp_path / n).numpy() for n in (name, f"whole-{name}"))
    np.testing.assert_array_equal(ours, whole)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_before_anything_is_done_leaves_nothing(
    sparsessp, command, monkeypatch, tmp_path
):
    before = set(tmp_path.iterdir())

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_sparsessp.io.reading.load_volume", interrupt)
    code, _, err = sparsessp(*command("out.ome.zarr"))
    assert code == 130
    assert "no unfinished file is left" in err
    assert set(tmp_path.iterdir()) == before


def test_ctrl_c_while_the_file_is_completed_loses_nothing(
    sparsessp, command, monkeypatch, tmp_path
):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(streaming, "fill_levels", interrupt)
        code, _, err = sparsessp(*command("out.ome.zarr"))
    assert code == 130
    assert "what is done is kept" in err
    code, _, err = sparsessp(*command("out.ome.zarr", "--resume"))
    assert code == 0
    assert load_volume(tmp_path / "out.ome.zarr").shape == (2, 8, 40, 40)


def test_a_time_point_that_cannot_be_read_stops_late_and_says_how_to_go_on(
    sparsessp, refused, command, stack, tmp_path
):
    lapse = np.stack([a_stack()] * 3).astype(np.float32)
    broken = lapse.copy()
    broken[2, 3, 4, 5] = np.nan
    write_stack(stack, broken, "TZYX")
    said = refused(*command("out.ome.zarr"))
    assert "time point 2: the image has 1 NaN" in said
    assert "choose the time points before and after it" in said
    assert "--resume goes on" in said
    rest = "--time", ":2"
    assert sparsessp(*command("other.ome.zarr", *rest))[0] == 0
    assert load_volume(tmp_path / "other.ome.zarr").shape[0] == 2


def test_resume_of_nothing_is_a_new_run(sparsessp, command, tmp_path):
    assert sparsessp(*command("out.ome.zarr", "--resume"))[0] == 0
    assert load_volume(tmp_path / "out.ome.zarr").shape == (2, 8, 40, 40)


@pytest.mark.parametrize("planes", [False, True])
def test_a_stack_that_was_replaced_is_not_gone_on_with(
    interrupted, refused, command, stack, planes
):
    """Nor one of its files, where each plane has its own."""
    if planes:
        voxels = tifffile.imread(stack)
        stack.unlink()
        stack.mkdir()
        for z, plane in enumerate(voxels):
            tifffile.imwrite(stack / f"z{z}.tif", plane)
    interrupted(1, *command("out.ome.zarr"))
    if planes:
        tifffile.imwrite(stack / "z5.tif", voxels[0])
    else:
        write_stack(stack, a_stack(seed=5))
    assert "the input is different" in refused(*command("out.ome.zarr", "--resume"))


def test_older_versions_of_the_format_are_written_on_request(
    sparsessp, refused, command, tmp_path
):
    assert sparsessp(*command("out.ome.zarr", "--ngff", "0.4"))[0] == 0
    group = zarr.open_group(tmp_path / "out.ome.zarr", mode="r")
    assert group.metadata.zarr_format == 2
    assert group.attrs["multiscales"][0]["version"] == "0.4"
    assert "choose 0.5 or 0.4" in refused(*command("b.ome.zarr", "--ngff", "0.3"))
