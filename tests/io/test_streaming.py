"""What is stored while it is made is what memory gives, and what others read."""

import dataclasses

import numpy as np
import pytest
import yaozarrs
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.io.streaming import chunk_side
from napari_sparsessp.io.writing import read_provenance
from napari_sparsessp.prediction import scoring
from napari_sparsessp.prediction.engine import Finished, Planned, TileDone, predict
from napari_sparsessp.volume import Volume
from stored import BOTH, CUT, a_request, a_volume, names_in, store, voxels
from thin import save_random, thin_network


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
    volume, request = a_volume(shape, axes), a_request(**changes)
    events = store(model, volume, tmp_path / name, request)
    want = predict(model, volume, request=request).volume
    got = load_volume(tmp_path / name)
    assert events[0].buffer is None
    assert (got.axes, got.shape) == (want.axes, want.shape)
    assert got.channel_names == want.channel_names
    assert got.voxel_size == pytest.approx(want.voxel_size)
    assert got.origin == pytest.approx(want.origin)
    np.testing.assert_array_equal(got.numpy(), want.array)
    assert read_provenance(tmp_path / name)["model"]["sha256"] == model.sha256
    assert names_in(tmp_path) == [name]


def test_projections_are_stored_and_masked_voxels_stay_nan(model, tmp_path):
    for how, bad in (("mean", 7.0), ("max", 7.0), ("none", np.inf)):
        card = model.card.model_copy(update={"z_projection": how})
        flat = dataclasses.replace(model, card=card)
        volume, request = a_volume(), a_request(**CUT, mask_invalid=True)
        volume.array[3, 5, 6] = bad
        path = tmp_path / f"{how}.ome.zarr"
        store(flat, volume, path, request)
        memory = predict(flat, volume, request=request).volume.array
        np.testing.assert_array_equal(voxels(path), memory)
        assert np.isnan(memory).any() == (how == "none")


def test_the_order_of_columns_changes_no_bit(model, tmp_path):
    """Someone looking elsewhere gets the same file."""
    box = (slice(0, 1), slice(30, 36), slice(30, 36))
    here, there = tmp_path / "a.ome.zarr", tmp_path / "b.ome.zarr"
    store(model, a_volume(), here, a_request(**CUT))
    how = {"viewport": lambda: (None, box)}
    events = store(model, a_volume(), there, a_request(**CUT), **how)
    first = next(event for event in events if isinstance(event, TileDone))
    assert first.box[1].stop == 36
    np.testing.assert_array_equal(voxels(here), voxels(there))


@pytest.mark.parametrize("ngff", ["0.5", "0.4"])
def test_an_independent_reader_accepts_both_versions(model, tmp_path, ngff):
    path = tmp_path / "out.ome.zarr"
    volume = a_volume((9, 600, 20))
    store(model, volume, path, a_request(structures=("dna",)), ngff=ngff)
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


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.sampled_from([1, 4, 8]))
def test_chunks_end_where_columns_end_and_are_neither_dust_nor_boulders(count, stride):
    step = count * stride
    side = chunk_side(step, 256)
    assert step % side == 0
    assert side >= min(64, step)
    assert side <= 256 or side == min(n for n in range(64, step + 1) if step % n == 0)


def test_scores_are_those_of_memory(model, tmp_path):
    volume, request = a_volume(), a_request(**CUT)
    truth = {"dna": volume.with_(array=volume.array[:10] ** 2)}
    want = predict(model, volume, request=request, truth=truth).report
    got = store(model, volume, tmp_path / "o.ome.zarr", request, truth=truth)[-1]
    for name, value in want.structures["dna"].items():
        one, other = got.report.structures["dna"][name], value
        one, other = np.array(one, float), np.array(other, float)  # None as NaN
        assert one == pytest.approx(other, rel=1e-4, nan_ok=True)
    assert got.report.warnings == want.warnings


@settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(side=st.integers(3, 40), step=st.sampled_from([0.2, 0.29, 0.41]))
def test_a_truth_that_does_not_fit_is_scored_from_sums(
    model, tmp_path_factory, monkeypatch, side, step
):
    """R², MSE and Pearson are the same; the rest is left out, and a warning says so."""
    volume, request = a_volume(), a_request(**CUT)
    size = round(36 * 0.29 / step)
    other = np.random.default_rng(1).normal(9, 3, (12, size, size)).astype(np.float32)
    truth = {"dna": Volume(other, "ZYX", (0.29, step, step))}

    def scored():
        path = tmp_path_factory.mktemp("scored") / "o.ome.zarr"
        return store(model, volume, path, request, truth=truth)[-1].report

    whole = scored()
    with monkeypatch.context() as patch:
        patch.setattr(scoring, "SIDE", side)
        patch.setattr(scoring, "truth_fits", lambda *_: False)
        part = scored()
    scores = part.structures["dna"]
    for name in ("r2", "mse", "pcc", "pcc_plane", "r2_per_plane"):
        assert scores[name] == pytest.approx(whole.structures["dna"][name], rel=1e-4)
    assert scores["ssim"] is None
    assert any("too large for the memory" in one for one in part.warnings)
    assert part.structures.keys() == whole.structures.keys()


def test_the_plan_does_not_count_what_is_not_held(model, tmp_path):
    """Only a column's share, however large the stack."""
    how = {"cancel_after": 1, "overwrite": True}
    planned = set()
    for side in (72, 144):
        volume, path = a_volume((12, side, side)), tmp_path / "o.ome.zarr"
        events = store(model, volume, path, a_request(**CUT), **how)
        plan = next(event for event in events if isinstance(event, Planned)).plan
        planned.add(plan.memory.output)
    assert len(planned) == 1


@pytest.fixture(scope="module")
def fading(tmp_path_factory):
    """A model whose tiles cross-fade: its norms see all of a tile."""
    from napari_sparsessp.models.library import load_model

    path = tmp_path_factory.mktemp("fading") / "fading.safetensors"
    config = thin_network(
        backbone="dod",
        topology="2to3d",
        norm="group",
        groups=4,
        decoder_widths=(4, 8),
        encoder_widths=(4, 8, 8),
        encoder_blocks=(1, 1, 1),
    )
    return load_model(save_random(path, config, patch=(8, 48, 48)))


@pytest.mark.parametrize("grid", ["model", "input"])
def test_columns_that_cross_fade_are_stored_as_in_memory_and_resumed(
    fading, tmp_path, grid
):
    volume = a_volume((12, 60, 70), voxel=(0.29, 0.4, 0.25))
    request = a_request(grid=grid)
    memory = predict(fading, volume, request=request).volume.array
    path = tmp_path / "out.ome.zarr"
    events = store(fading, volume, path, request, cancel_after=7)
    assert events[0].plan.layout.seams
    assert 4 <= events[-1].done <= 7
    assert isinstance(store(fading, volume, path, request, resume=True)[-1], Finished)
    np.testing.assert_array_equal(voxels(path), memory)
    assert names_in(tmp_path) == ["out.ome.zarr"]


@pytest.mark.parametrize("grid", ["model", "input"])
def test_each_voxel_is_written_once(model, tmp_path, monkeypatch, grid):
    """Whatever the grid: no chunk is touched twice."""
    from zarr.storage import LocalStore

    written = []
    put = LocalStore.set

    async def watched(self, key, value, **how):
        if "/c/" in key:
            written.append((str(self.root), key))
        return await put(self, key, value, **how)

    monkeypatch.setattr(LocalStore, "set", watched)
    volume = a_volume((20, 60, 70), voxel=(0.29, 0.4, 0.25))
    store(model, volume, tmp_path / "out.ome.zarr", a_request(**CUT, grid=grid))
    assert len(written) > 20
    assert len(set(written)) == len(written)
