"""A result that is cut short goes on where it stopped, and only with the same run."""

import dataclasses
import errno

import numpy as np
import pytest

from napari_sparsessp.errors import OutputError
from napari_sparsessp.io import streaming
from napari_sparsessp.io.streaming import PredictionWriter
from napari_sparsessp.io.writing import read_provenance
from napari_sparsessp.prediction.engine import (
    Finished,
    PredictionCancelled,
    Started,
    TileDone,
)
from stored import BOTH, CUT, a_request, a_volume, names_in, store, voxels


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("grid", ["model", "input"])
def test_cancelled_and_resumed_again_and_again_changes_no_bit(
    model, tmp_path, name, grid
):
    volume = a_volume((2, 12, 20, 36), "TZYX", (0.29, 0.4, 0.4))
    request = a_request(**CUT, grid=grid)
    store(model, volume, tmp_path / f"whole-{name}", request)
    runs = 0
    events = store(model, volume, tmp_path / name, request, cancel_after=3)
    while isinstance(events[-1], PredictionCancelled):
        assert not (tmp_path / name).exists()
        done = events[-1].done
        assert done >= 2 * runs, "a column of two windows is kept"
        events = store(model, volume, tmp_path / name, request, done + 3, resume=True)
        started = next(event for event in events if isinstance(event, Started))
        assert started.done == done, "nothing is done twice"
        runs += 1
    assert runs >= 3
    np.testing.assert_array_equal(
        voxels(tmp_path / name), voxels(tmp_path / f"whole-{name}")
    )
    assert (
        read_provenance(tmp_path / name)["normalisation"]
        == (read_provenance(tmp_path / f"whole-{name}")["normalisation"])
    )
    assert names_in(tmp_path) == sorted([name, f"whole-{name}"])


def test_one_column_resumes_within(model, tmp_path):
    """From the last chunk of planes that is complete."""
    volume, path = a_volume((40, 20, 20)), tmp_path / "out.ome.zarr"
    store(model, volume, tmp_path / "whole.ome.zarr")
    assert 3 <= store(model, volume, path, cancel_after=6)[-1].done <= 6
    events = store(model, volume, path, resume=True)
    assert next(event.done for event in events if isinstance(event, TileDone)) > 3
    np.testing.assert_array_equal(voxels(path), voxels(tmp_path / "whole.ome.zarr"))


def test_lost_chunks_are_predicted_again(model, tmp_path):
    """Of a computer that lost its power: files that are empty, or not there."""
    path, request = tmp_path / "out.ome.zarr", a_request(**CUT)
    store(model, a_volume(), tmp_path / "whole.ome.zarr", request)
    store(model, a_volume(), path, request, cancel_after=8)
    image = tmp_path / ".out.ome.zarr.partial" / "image.zarr" / "0" / "c"
    chunks = sorted(one for one in image.rglob("*") if one.is_file())
    chunks[0].write_bytes(b"")
    chunks[-1].unlink()
    assert isinstance(
        store(model, a_volume(), path, request, resume=True)[-1], Finished
    )
    np.testing.assert_array_equal(voxels(path), voxels(tmp_path / "whole.ome.zarr"))


def _unfinished(model, tmp_path):
    path = tmp_path / "out.ome.zarr"
    store(model, a_volume(), path, a_request(**CUT), cancel_after=3)
    assert names_in(tmp_path) == [".out.ome.zarr.partial"]
    return path


def test_what_is_unfinished_is_told_and_kept(model, tmp_path):
    path = _unfinished(model, tmp_path)
    with pytest.raises(OutputError, match="--resume to go on with it, or --overwrite"):
        PredictionWriter(path)
    assert names_in(tmp_path) == [".out.ome.zarr.partial"]
    events = store(model, a_volume(), path, a_request(**CUT), overwrite=True)
    assert next(event.done for event in events if isinstance(event, Started)) == 0
    assert names_in(tmp_path) == ["out.ome.zarr"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ratio": 2.0, "simulate_sparse": True}, "ratio"),
        ({"grid": "input"}, "grid"),
        ({"structures": ("dna",)}, "the structures"),
        ({"precision": "bf16"}, r"the precision \(fp32 there, bf16 now\)"),
        ({"overlap": 0.25}, "overlap"),
        ({"normalisation": (100.0, 20.0)}, "normalisation"),
    ],
)
def test_another_request_does_not_go_on_with_it(model, tmp_path, changes, said):
    path = _unfinished(model, tmp_path)
    with pytest.raises(OutputError, match=f"another run, {said}.*--overwrite"):
        store(model, a_volume(), path, a_request(**CUT, **changes), resume=True)
    assert names_in(tmp_path) == [".out.ome.zarr.partial"]


def test_another_input_model_or_kind_does_not_go_on_with_it(model, tmp_path):
    path = _unfinished(model, tmp_path)
    source = tmp_path / "in.tif"
    source.write_bytes(b"1")
    volume, changed = a_volume(source=str(source)), tmp_path / "changed.ome.zarr"
    store(model, volume, changed, a_request(**CUT), cancel_after=3)
    source.write_bytes(b"22")
    with pytest.raises(OutputError, match="another run, the input"):
        store(model, volume, changed, a_request(**CUT), resume=True)
    other = dataclasses.replace(model, sha256="0" * 64)
    for what, volume, said, how in (
        (model, a_volume((12, 36, 35)), "the input", {}),
        (model, a_volume(voxel=(0.29, 0.29, 0.3)), "the input", {}),
        (other, a_volume(), "the model", {}),
        (model, a_volume(), "the kind of output", {"ngff": "0.4"}),
    ):
        with pytest.raises(OutputError, match=f"another run, {said}"):
            store(what, volume, path, a_request(**CUT), resume=True, **how)


@pytest.mark.parametrize("name", BOTH)
def test_a_disk_that_fills_is_one_error_and_what_is_done_goes_on(
    model, tmp_path, name, monkeypatch
):
    path, request = tmp_path / name, a_request(**CUT)
    store(model, a_volume(), tmp_path / f"whole-{name}", request)
    original = streaming._TimePoint.write
    calls = []

    def full(self, place, values):
        calls.append(place)
        with self._writer._writing():
            if len(calls) == 5:
                original(self, (slice(0, 1), *place[1:]), values[:1])
                raise OSError(errno.ENOSPC, "No space left on device")
        original(self, place, values)

    with monkeypatch.context() as patch:
        patch.setattr(streaming._TimePoint, "write", full)
        with pytest.raises(OutputError, match="disk is full.*--resume"):
            store(model, a_volume(), path, request)
    assert not path.exists()
    store(model, a_volume(), path, request, resume=True)
    np.testing.assert_array_equal(voxels(path), voxels(tmp_path / f"whole-{name}"))
