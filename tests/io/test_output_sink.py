"""A result grows on disk, survives any end of its writer and is what memory gives."""

import dataclasses
import errno
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaozarrs
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.io import growing
from napari_sparsessp.io.output_sink import OutputSink
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.io.writing import read_provenance
from napari_sparsessp.io.zarr_sink import chunk_for
from napari_sparsessp.models.store import load_model
from napari_sparsessp.prediction import store_scores
from napari_sparsessp.prediction.engine import predict, predict_stream
from napari_sparsessp.prediction.events import (
    Cancelled,
    Finished,
    Planned,
    Started,
    TileDone,
)
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume
from thin import STRUCTURES, save_thin

FP32 = PredictionRequest(precision="fp32", device="cpu")
CUT = {"tile": (8, 16, 16)}
BOTH = ("out.ome.zarr", "out.ome.tif")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(save_thin(tmp_path_factory.mktemp("thin") / "thin.safetensors"))


@pytest.fixture(autouse=True)
def every_plane_is_noted(monkeypatch):
    monkeypatch.setattr(growing, "SECONDS_BETWEEN_NOTES", 0.0)


def _volume(shape=(12, 36, 36), axes="ZYX", voxel=(0.29,) * 3, **more):
    array = np.random.default_rng(7).normal(100, 20, shape).astype(np.float32)
    return Volume(array, axes, voxel, name="stack", **more)


def _request(**changes):
    return FP32.model_copy(update=changes)


def _store(model, volume, path, request=FP32, cancel_after=None, **how):
    """Predict into a file; give the events."""
    cancel, events = threading.Event(), []
    truth = how.pop("truth", None)
    viewport = how.pop("viewport", None)
    with OutputSink(path, **how) as sink:
        for event in predict_stream(
            model,
            volume,
            request=request,
            sink=sink,
            cancel=cancel,
            truth=truth,
            viewport=viewport,
        ):
            events.append(event)
            if isinstance(event, TileDone) and event.done == cancel_after:
                cancel.set()
        if isinstance(events[-1], Finished):
            sink.finish(events[-1].report.provenance())
    return events


def _voxels(path):
    return load_volume(path).numpy()


def _names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def _same(stored, memory):
    """Both modes round differently, by the last bits of the largest value."""
    np.testing.assert_allclose(
        stored, memory, rtol=0, atol=2e-6 * (memory.std() + np.abs(memory).max())
    )


@pytest.mark.parametrize(
    ("shape", "axes", "changes"),
    [
        ((12, 36, 36), "ZYX", CUT),
        ((3, 1, 5), "ZYX", {}),
        ((2, 9, 20, 36), "TZYX", CUT),
        ((12, 36, 36), "ZYX", {**CUT, "uncertainty": True}),
        ((12, 36, 36), "ZYX", {**CUT, "grid": "input", "voxel_size": (0.29, 0.5, 0.4)}),
    ],
)
@pytest.mark.parametrize("name", BOTH)
def test_what_is_stored_is_what_memory_gives(
    model, tmp_path, name, shape, axes, changes
):
    volume, request = _volume(shape, axes), _request(**changes)
    events = _store(model, volume, tmp_path / name, request)
    want = predict(model, volume, request=request).volume
    got = load_volume(tmp_path / name)
    assert events[0].buffer is None
    assert (got.axes, got.shape) == (want.axes, want.shape)
    assert got.channel_names == want.channel_names
    assert got.voxel_size == pytest.approx(want.voxel_size)
    assert got.origin == pytest.approx(want.origin)
    _same(got.numpy(), want.array)
    assert read_provenance(tmp_path / name)["model"]["sha256"] == model.sha256
    assert _names(tmp_path) == [name]


@pytest.mark.parametrize("how", ["mean", "max"])
def test_projections_are_stored(model, tmp_path, how, monkeypatch):
    monkeypatch.setattr(growing, "_BLOCK", 12 * 16 * 5)
    card = model.card.model_copy(update={"z_projection": how})
    flat = dataclasses.replace(model, card=card)
    volume, request = _volume(), _request(**CUT)
    _store(flat, volume, tmp_path / "out.ome.zarr", request)
    _same(
        _voxels(tmp_path / "out.ome.zarr"),
        predict(flat, volume, request=request).volume.array,
    )


def test_masked_voxels_stay_nan(model, tmp_path):
    volume, request = _volume(), _request(**CUT, mask_invalid=True)
    volume.array[3, 5, 6] = np.inf
    _store(model, volume, tmp_path / "out.ome.zarr", request)
    memory = predict(model, volume, request=request).volume.array
    stored = _voxels(tmp_path / "out.ome.zarr")
    np.testing.assert_array_equal(np.isnan(stored), np.isnan(memory))


def test_the_order_of_columns_changes_no_bit(model, tmp_path):
    """Someone looking elsewhere gets the same file."""
    box = (slice(0, 1), slice(30, 36), slice(30, 36))
    _store(model, _volume(), tmp_path / "a.ome.zarr", _request(**CUT))
    events = _store(
        model,
        _volume(),
        tmp_path / "b.ome.zarr",
        _request(**CUT),
        viewport=lambda: (None, box),
    )
    first = next(event for event in events if isinstance(event, TileDone))
    assert first.box[1].stop == 36
    np.testing.assert_array_equal(
        _voxels(tmp_path / "a.ome.zarr"), _voxels(tmp_path / "b.ome.zarr")
    )


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("grid", ["model", "input"])
def test_cancelled_and_resumed_again_and_again_changes_no_bit(
    model, tmp_path, name, grid
):
    volume = _volume((2, 12, 20, 36), "TZYX", (0.29, 0.4, 0.4))
    request = _request(**CUT, grid=grid)
    _store(model, volume, tmp_path / f"whole-{name}", request)
    total, runs = None, 0
    events = _store(model, volume, tmp_path / name, request, cancel_after=1)
    while isinstance(events[-1], Cancelled):
        assert not (tmp_path / name).exists()
        done, total = events[-1].done, events[-1].total
        events = _store(model, volume, tmp_path / name, request, done + 3, resume=True)
        started = next(event for event in events if isinstance(event, Started))
        assert started.done == done, "nothing is done twice"
        runs += 1
    assert runs == -(-(total - 1) // 3)
    np.testing.assert_array_equal(
        _voxels(tmp_path / name), _voxels(tmp_path / f"whole-{name}")
    )
    assert (
        read_provenance(tmp_path / name)["normalisation"]
        == (read_provenance(tmp_path / f"whole-{name}")["normalisation"])
    )
    assert _names(tmp_path) == sorted([name, f"whole-{name}"])


def test_one_column_goes_on_within(model, tmp_path):
    """No neighbours: its planes go straight into the image."""
    volume = _volume((40, 20, 20))
    _store(model, volume, tmp_path / "whole.ome.zarr")
    events = _store(model, volume, tmp_path / "out.ome.zarr", cancel_after=4)
    assert events[-1].done == 4
    events = _store(model, volume, tmp_path / "out.ome.zarr", resume=True)
    assert next(event.done for event in events if isinstance(event, TileDone)) == 5
    np.testing.assert_array_equal(
        _voxels(tmp_path / "out.ome.zarr"), _voxels(tmp_path / "whole.ome.zarr")
    )


def test_lost_columns_are_predicted_again(model, tmp_path):
    """The ledger says so, the disk does not: the disk is believed."""
    path, request = tmp_path / "out.ome.zarr", _request(**CUT)
    _store(model, _volume(), tmp_path / "whole.ome.zarr", request)
    _store(model, _volume(), path, request, cancel_after=8)
    columns = list((tmp_path / ".out.ome.zarr.partial" / "columns").iterdir())
    columns[0].write_bytes(columns[0].read_bytes()[:-1])
    columns[1].unlink()
    assert isinstance(
        _store(model, _volume(), path, request, resume=True)[-1], Finished
    )
    np.testing.assert_array_equal(_voxels(path), _voxels(tmp_path / "whole.ome.zarr"))


def _unfinished(model, tmp_path, **changes):
    path = tmp_path / "out.ome.zarr"
    _store(model, _volume(), path, _request(**CUT), cancel_after=3)
    assert _names(tmp_path) == [".out.ome.zarr.partial"]
    return path


def test_what_is_unfinished_is_told_and_kept(model, tmp_path):
    path = _unfinished(model, tmp_path)
    with pytest.raises(OutputError, match="--resume to go on with it, or --overwrite"):
        OutputSink(path)
    assert _names(tmp_path) == [".out.ome.zarr.partial"]
    events = _store(model, _volume(), path, _request(**CUT), overwrite=True)
    assert next(event.done for event in events if isinstance(event, Started)) == 0
    assert _names(tmp_path) == ["out.ome.zarr"]


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
        _store(model, _volume(), path, _request(**CUT, **changes), resume=True)
    assert _names(tmp_path) == [".out.ome.zarr.partial"]


def test_another_input_model_or_kind_does_not_go_on_with_it(model, tmp_path):
    path = _unfinished(model, tmp_path)
    other = dataclasses.replace(model, sha256="0" * 64)
    for what, volume, said, how in (
        (model, _volume((12, 36, 35)), "the input", {}),
        (model, _volume(voxel=(0.29, 0.29, 0.3)), "the input", {}),
        (other, _volume(), "the model", {}),
        (model, _volume(), "the kind of output", {"ngff": "0.4"}),
    ):
        with pytest.raises(OutputError, match=f"another run, {said}"):
            _store(what, volume, path, _request(**CUT), resume=True, **how)


def test_a_file_that_has_changed_is_another_input(model, tmp_path):
    source = tmp_path / "in.tif"
    source.write_bytes(b"1")
    volume = _volume(source=str(source))
    path = tmp_path / "out.ome.zarr"
    _store(model, volume, path, _request(**CUT), cancel_after=3)
    source.write_bytes(b"22")
    with pytest.raises(OutputError, match="another run, the input"):
        _store(model, volume, path, _request(**CUT), resume=True)


def test_nothing_done_leaves_nothing(model, tmp_path, monkeypatch):
    """Refused inputs, cancelled at once, failed at once."""
    volume = _volume()
    volume.array[:] = 7
    with pytest.raises(InputError, match="constant"):
        _store(model, volume, tmp_path / "out.ome.zarr")
    with pytest.raises(InputError, match="constant"):
        _store(model, _volume(), tmp_path / "out.ome.zarr", truth={"dna": volume})
    assert _names(tmp_path) == []


def test_an_old_result_stays_until_the_new_one_is_complete(model, tmp_path):
    for name in BOTH:
        path = tmp_path / name
        _store(model, _volume(), path, _request(**CUT, structures=("dna",)))
        old = _voxels(path)
        _store(model, _volume(), path, _request(**CUT), cancel_after=3, overwrite=True)
        np.testing.assert_array_equal(_voxels(path), old)
        with pytest.raises(OutputError, match="exists already"):
            OutputSink(path, resume=True)
        _store(model, _volume(), path, _request(**CUT), resume=True, overwrite=True)
        assert load_volume(path).channel_names == STRUCTURES
    assert _names(tmp_path) == sorted(BOTH)


def test_a_death_between_two_names_gives_the_old_result_back(model, tmp_path):
    path = tmp_path / "out.ome.zarr"
    _store(model, _volume(), path, _request(**CUT))
    path.rename(tmp_path / ".out.ome.zarr.old")
    with pytest.raises(OutputError, match="exists already"):
        OutputSink(path)
    assert _names(tmp_path) == ["out.ome.zarr"]


def test_a_second_writer_is_kept_out(tmp_path):
    path = tmp_path / "out.ome.zarr"
    with OutputSink(path):
        with pytest.raises(OutputError, match="another process is writing"):
            OutputSink(path, overwrite=True, resume=True)
        with OutputSink(tmp_path / "other.ome.zarr"):
            pass
    with OutputSink(path):
        pass
    assert _names(tmp_path) == []


@pytest.mark.parametrize("name", BOTH)
def test_a_disk_that_fills_is_one_error_and_what_is_done_goes_on(
    model, tmp_path, name, monkeypatch
):
    path, request = tmp_path / name, _request(**CUT)
    _store(model, _volume(), tmp_path / f"whole-{name}", request)
    original = growing.ColumnFiles.write
    calls = []

    def full(self, slot, column, first, planes):
        calls.append(column)
        if len(calls) == 5:
            with self._path(slot, column).open("ab") as file:
                file.write(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        original(self, slot, column, first, planes)

    with monkeypatch.context() as patch:
        patch.setattr(growing.ColumnFiles, "write", full)
        with pytest.raises(OutputError, match="disk is full.*--resume"):
            _store(model, _volume(), path, request)
    assert not path.exists()
    _store(model, _volume(), path, request, resume=True)
    np.testing.assert_array_equal(_voxels(path), _voxels(tmp_path / f"whole-{name}"))


@pytest.mark.parametrize("ngff", ["0.5", "0.4"])
def test_an_independent_reader_accepts_both_versions(model, tmp_path, ngff):
    path = tmp_path / "out.ome.zarr"
    volume = _volume((9, 600, 20))
    _store(model, volume, path, _request(structures=("dna",)), ngff=ngff)
    yaozarrs.validate_zarr_store(str(path))
    group = zarr.open_group(path, mode="r")
    assert group.metadata.zarr_format == (3 if ngff == "0.5" else 2)
    levels = [group[str(number)] for number in range(len(list(group)))]
    assert [level.shape[-2:] for level in levels] == [(600, 20), (300, 10), (150, 5)]
    attributes = dict(group.attrs)
    image = attributes["ome"] if ngff == "0.5" else attributes
    assert image["omero"]["channels"][0]["label"] == "dna"
    place = image["multiscales"][0]["datasets"][2]["coordinateTransformations"]
    assert place[0]["scale"] == pytest.approx([1.0, 0.29, 1.16, 1.16])
    assert place[1]["translation"] == pytest.approx([0.0, 0.0, 0.435, 0.435])
    fine = levels[0][...]
    pairs = fine.reshape(1, 9, 300, 2, 10, 2).mean((3, 5))
    np.testing.assert_allclose(levels[1][...], pairs, atol=1e-5 * np.abs(fine).max())


def test_the_tiff_is_one_that_others_read(model, tmp_path):
    import ome_types

    path = tmp_path / "out.ome.tif"
    _store(model, _volume(), path, _request(**CUT))
    with tifffile.TiffFile(path) as tif:
        assert tif.series[0].axes == "CZYX"
        pixels = ome_types.from_xml(tif.ome_metadata).images[0].pixels
    assert [channel.name for channel in pixels.channels] == list(STRUCTURES)


@settings(max_examples=60, deadline=None)
@given(st.tuples(st.integers(1, 64), st.integers(1, 3000), st.integers(1, 3000)))
def test_chunks_end_where_columns_end_and_are_neither_dust_nor_boulders(steps):
    z, *sides = chunk_for(steps)
    for side, step in zip(sides, steps[1:], strict=True):
        assert step % side == 0 or side % step == 0 or step > 512
        assert side <= 512
        assert side >= min(64, step)
    assert z * sides[0] * sides[1] <= 2**21 or z == 1
    assert z % steps[0] == 0 or z < steps[0]


def _numbers(value):
    """None, of what is not defined, as NaN."""
    return np.array(value, float)


def test_scores_are_those_of_memory(model, tmp_path):
    volume, request = _volume(), _request(**CUT)
    truth = {"dna": volume.with_(array=volume.array[:10] ** 2)}
    want = predict(model, volume, request=request, truth=truth).report
    got = _store(model, volume, tmp_path / "o.ome.zarr", request, truth=truth)[-1]
    for name, value in want.structures["dna"].items():
        assert _numbers(got.report.structures["dna"][name]) == pytest.approx(
            _numbers(value), rel=1e-4, nan_ok=True
        )
    assert got.report.warnings == want.warnings


@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(side=st.integers(3, 40), step=st.sampled_from([0.2, 0.29, 0.41]))
def test_a_truth_that_does_not_fit_is_scored_from_sums(
    model, tmp_path_factory, monkeypatch, side, step
):
    """R², MSE and Pearson are the same; the rest is left out, and a warning says so."""
    volume, request = _volume(), _request(**CUT)
    size = round(36 * 0.29 / step)
    other = np.random.default_rng(1).normal(9, 3, (12, size, size)).astype(np.float32)
    truth = {"dna": Volume(other, "ZYX", (0.29, step, step))}
    whole, _ = (
        _store(model, volume, tmp_path_factory.mktemp("a") / "o.ome.zarr", request,
               truth=truth)[-1].report,
        monkeypatch.setattr(store_scores, "SIDE", side),
    )  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(store_scores, "truth_fits", lambda plan: False)
        part = _store(
            model,
            volume,
            tmp_path_factory.mktemp("b") / "o.ome.zarr",
            request,
            truth=truth,
        )[-1].report
    scores = part.structures["dna"]
    for name in ("r2", "mse", "pcc", "pcc_plane", "r2_per_plane"):
        assert scores[name] == pytest.approx(whole.structures["dna"][name], rel=1e-4)
    assert scores["ssim"] is None
    assert any("too large for the memory" in one for one in part.warnings)
    assert part.structures.keys() == whole.structures.keys()


def test_the_plan_does_not_count_what_is_not_held(model, tmp_path):
    """Only a column's share, however large the stack."""
    planned = [
        next(
            event
            for event in _store(
                model, _volume(shape), tmp_path / "o.ome.zarr", _request(**CUT),
                cancel_after=1, overwrite=True,
            )
            if isinstance(event, Planned)
        ).plan.memory.output
        for shape in ((12, 72, 72), (12, 144, 144))
    ]  # fmt: skip
    assert planned[0] == planned[1]
