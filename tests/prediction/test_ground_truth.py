"""A truth is scored by what it shows, not by hot pixels and lost planes."""

import dask.array as da
import numpy as np
import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.ground_truth import survey_note, survey_truth
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume

SHAPE = (8, 40, 48)
CUBE = (0.29,) * 3


@pytest.fixture
def cells():
    """Fluorescence of a few cells, in counts."""
    z, y, x = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]].astype(np.float32)
    light = sum(
        np.exp(-(((y - b) / 6) ** 2 + ((x - c) / 7) ** 2 + ((z - 4) / 5) ** 2))
        for b, c in ((10, 12), (26, 30))
    )
    noise = np.random.default_rng(3).normal(0, 8, SHAPE)
    return (100 + 900 * light + noise).astype(np.uint16)


def surveyed(array, lazily=False):
    held = da.from_array(array, (3, 17, 20)) if lazily else array
    return survey_truth(Volume(held, "ZYX", CUBE))


@pytest.mark.parametrize("lazily", [False, True])
def test_hot_pixels_and_lost_planes_are_found(cells, lazily):
    spoilt = cells.copy()
    spoilt[:, 0, 0] = spoilt[:, 5, 17] = spoilt[2, 30:32, 9] = 65_535
    spoilt[5], spoilt[7] = 0, 65_535
    found = surveyed(spoilt, lazily)
    assert (found.hot, found.empty) == (14, (5, 7))
    clean = found.truth.planes(range(8))
    assert np.isnan(clean[[5, 7]]).all()
    kept = np.delete(clean, (5, 7), 0)
    touched = kept != np.delete(spoilt, (5, 7), 0)
    assert touched.sum() == 14
    assert kept.max() < 1200
    part = found.truth.region([2, 5], slice(28, 33), slice(8, 11))
    np.testing.assert_array_equal(part, clean[[2, 5], 28:33, 8:11])
    note = survey_note("dna", {None: found})
    assert "14 hot pixels" in note
    assert "planes 5, 7, empty or saturated" in note


def test_what_a_microscope_can_show_is_left_alone(cells):
    """A point of the size of the resolution, a subtracted background, dim planes."""
    y, x = np.mgrid[:40, :48]
    cells[3] += (20_000 * np.exp(-((y - 33) ** 2 + (x - 8) ** 2) / 2)).astype(np.uint16)
    assert surveyed(cells).truth.array is cells
    dark = np.where(cells > 400, cells, 0)
    assert not dark[0].any() or (dark[0] == 0).mean() > 0.9
    dark[0] = 0
    assert surveyed(dark).empty == ()
    fading = cells * np.exp(-np.arange(8) / 2)[:, None, None]
    assert surveyed(fading.astype(np.float32)).empty == ()
    assert survey_note("dna", {None: surveyed(cells)}) is None


def test_scores_are_those_of_the_clean_truth_and_the_report_says_why(
    thin_model, make_volume, cells
):
    request = PredictionRequest(precision="fp32", device="cpu")
    volume = make_volume(SHAPE)
    spoilt = cells.copy()
    spoilt[3, [5, 31, 20], [17, 9, 40]] = 65_535

    def scored(truth):
        truth = {"dna": Volume(truth, "ZYX", CUBE)}
        report = predict(thin_model, volume, request=request, truth=truth).report
        return report.structures["dna"], report.warnings

    (clean, nothing), (hot, warnings) = scored(cells), scored(spoilt)
    assert not nothing
    assert warnings == (
        "the truth of dna: 3 hot pixels replaced by the median of the neighbours",
    )
    for name in ("r2", "mse", "pcc", "pcc_plane", "ssim"):
        assert hot[name] == pytest.approx(clean[name], abs=2e-3)
    spoilt = cells.copy()
    spoilt[6:] = 0
    half, warnings = scored(spoilt)
    assert [one is None for one in half["r2_per_plane"]] == [False] * 6 + [True] * 2
    assert "planes 6–7, empty or saturated, not scored" in warnings[0]


def test_numbers_of_objects_are_no_brightness(thin_model, make_volume, cells):
    """A label image is refused, a mask scored as foreground; light is neither."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[2:7, 4:20, 6:24], labels[2:7, 22:36, 20:44] = 7, 3
    with pytest.raises(InputError, match="truth of dna: it is a label image"):
        predict(
            thin_model,
            make_volume(SHAPE),
            request=PredictionRequest(device="cpu"),
            truth={"dna": Volume(labels, "ZYX", CUBE)},
        )
    found = surveyed((labels > 0).astype(np.uint8))
    assert found.mask
    assert "a mask: where objects are" in survey_note("dna", {None: found})
    assert not surveyed(cells >> 4).mask  # few grey levels are still light
    y, x = np.mgrid[:40, :480]
    smooth = (4 + 3 * np.sin(x / 60) + 0 * y).astype(np.uint8)
    assert not surveyed(np.stack([smooth] * 3)).mask
