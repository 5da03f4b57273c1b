"""One way to judge, for the command line and for the dock."""

import csv
import io
import json

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import r2_score

from napari_sparsessp import __version__
from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.agreement import (
    BINS,
    SCALARS,
    ComparisonReport,
    agreement,
    aligned_stacks,
    error_of,
    on_the_same_grid,
    score_times,
)
from napari_sparsessp.metrics import score, zscore_truth
from napari_sparsessp.tasks import Cancelled
from napari_sparsessp.volume import Volume
from scored import ODD, comparison, scored

RNG = np.random.default_rng(3)
COUNTS = RNG.gamma(2.0, 40.0, (6, 24, 20)).astype(np.float32)
SIZE = (0.29, 0.29, 0.29)


def volume(array, size=SIZE, origin=(0.0, 0.0, 0.0)):
    return Volume(array, "ZYX", size, origin=origin)


def predicted(noise=0.5):
    z = zscore_truth(COUNTS)
    return (z + noise * RNG.standard_normal(z.shape)).astype(np.float32)


def test_the_scores_are_those_of_the_metrics():
    found = predicted()
    result = agreement(volume(COUNTS), volume(found))
    assert result.scores == score(found, COUNTS)
    np.testing.assert_allclose(result.moments, (COUNTS.mean(), COUNTS.std()), rtol=1e-5)
    assert result.notes == ()


def test_every_voxel_is_counted_once_with_the_truth_along_the_first_axis():
    z = zscore_truth(COUNTS)
    density = agreement(volume(COUNTS), volume(z)).density
    assert density.counts.shape == (BINS, BINS)
    assert density.counts.sum() == pytest.approx(np.trace(density.counts)), "perfect"
    inside = COUNTS.size - density.counts.sum()
    assert 0 <= inside <= 0.001 * COUNTS.size  # the rarest fall off the ends
    counts = agreement(volume(COUNTS), volume(0.25 * z)).density.counts
    rows, columns = (counts.sum(axis=axis) > 0 for axis in (1, 0))
    assert rows.sum() > 2 * columns.sum()


def test_a_truth_on_another_grid_is_resampled_and_this_is_told():
    fine = np.repeat(np.repeat(COUNTS, 2, 1), 2, 2)
    small = (0.29, 0.145, 0.145)
    place = (0.0, -0.0725, -0.0725)
    result = agreement(volume(fine, small, place), volume(predicted()))
    assert any("resampled" in note for note in result.notes)
    assert result.scores["r2"] == pytest.approx(0.75, abs=0.1)


def test_the_error_is_prediction_minus_z_scored_truth_where_there_is_one():
    longer = np.concatenate([predicted(), np.ones((2, 24, 20), np.float32)])
    error = error_of(volume(COUNTS), volume(longer))
    np.testing.assert_allclose(error[:6], longer[:6] - zscore_truth(COUNTS), atol=1e-6)
    assert error.shape == longer.shape
    assert np.isnan(error[6:]).all()


def test_it_can_be_cancelled_at_any_plane():
    shares = []

    def progress(share, total=None, what=""):
        shares.append(share)
        if share > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        agreement(volume(COUNTS), volume(predicted()), progress=progress)
    assert shares == sorted(shares)
    assert len(shares) > 10


@pytest.mark.parametrize(
    "unit", ["counts", "offset", "whole numbers", "z-scores", "hot pixels"]
)
def test_an_image_of_another_program_has_r2_1_against_itself(unit):
    image = {
        "counts": COUNTS,
        "offset": COUNTS + 30_000,
        "whole numbers": COUNTS.astype(np.uint16),
        "z-scores": zscore_truth(COUNTS),
        "hot pixels": np.where(COUNTS[0, 5, 7] == COUNTS, 65_535, COUNTS),
    }[unit]
    theirs = volume(image).with_(zscored=False)
    result = agreement(volume(image), theirs, "dna")
    assert result.scores["r2"] == 1
    assert result.scores["mse"] == 0
    assert len(result.notes) == 2 * (unit == "hot pixels")
    assert not error_of(volume(image), theirs).any()


@settings(max_examples=25, deadline=None)
@given(
    st.floats(1e-3, 1e4), st.floats(-1e5, 1e5), st.floats(0.1, 3), st.integers(0, 99)
)
def test_the_scores_of_another_programs_image_are_scikit_learns_in_any_unit(
    gain, offset, noise, seed
):
    rng = np.random.default_rng(seed)
    truth = rng.gamma(2.0, 1.0, (3, 9, 8))
    image = truth + noise * rng.standard_normal(truth.shape)
    truth, image = (gain * stack + offset for stack in (truth, image))
    theirs = Volume(image, "ZYX", SIZE, zscored=False)
    found = agreement(Volume(truth, "ZYX", SIZE), theirs).scores["r2"]
    assert found == pytest.approx(r2_score(truth.ravel(), image.ravel()), abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.floats(1e-2, 1e3), st.floats(-1e4, 1e4), st.integers(0, 99))
def test_ranges_above_the_median_come_into_any_truths_units(gain, offset, seed):
    """An image in its own quartiles is the image, whatever units the truth has."""
    image = np.random.default_rng(seed).gamma(2.0, 1.0, (3, 9, 8))
    low, middle, high = np.percentile(image, (25, 50, 75))
    ranges = (image - middle) / (high - low)
    mine = Volume(ranges, "ZYX", SIZE, zscored=True, in_iqrs=True)
    truth = Volume(gain * image + offset, "ZYX", SIZE)
    assert agreement(truth, mine).scores["r2"] == pytest.approx(1, abs=1e-4)


def test_hot_pixels_and_lost_planes_of_a_truth_do_not_count():
    spoilt = np.concatenate([COUNTS, np.zeros((2, 24, 20), np.float32)])
    spoilt[:6, 5, 7] = 65_535
    longer = volume(np.concatenate([predicted(), np.zeros_like(COUNTS[:2])]))
    for array in (spoilt, da.from_array(spoilt)):
        result = agreement(volume(array), longer, "dna")
        clean = agreement(volume(COUNTS), volume(longer.array[:6]))
        for key in ("r2", "pcc", "pcc_plane"):
            assert result.scores[key] == pytest.approx(clean.scores[key], abs=0.02)
        (note,) = result.notes
        assert note.startswith("the truth of dna: 6 hot pixels replaced")
        assert "planes 6–7, empty or saturated, not scored" in note


def test_a_label_image_is_no_truth():
    labels = np.zeros((4, 40, 60), np.uint16)
    labels[:, 3:20, 4:40], labels[:, 22:36, 20:56] = 7, 3
    light = RNG.gamma(2.0, 40.0, labels.shape)
    with pytest.raises(InputError, match="truth of dna: it is a label image"):
        agreement(volume(labels), volume(light), "dna")
    with pytest.raises(InputError, match="prediction: it is a label image"):
        agreement(volume(light), volume(labels).with_(zscored=False))


def test_a_blank_time_point_of_a_truth_is_not_scored():
    truth = np.stack([COUNTS, np.full_like(COUNTS, 3)])
    mine = Volume(np.stack([predicted()] * 2), "TZYX", SIZE)
    notes = []
    stacks = on_the_same_grid(Volume(truth, "TZYX", SIZE), mine, notes.append)
    assert stacks[1] is None
    assert "time point 1, not scored there" in notes[0]
    assert score_times(mine, stacks) == score(mine.array[0], COUNTS)


def test_a_prediction_of_ours_is_taken_as_it_is():
    mine = volume(predicted())
    for zscored in (True, None):
        found = agreement(volume(COUNTS), mine.with_(zscored=zscored))
        assert found.scores == score(mine.array, COUNTS)


def test_images_that_agree_but_for_their_units_are_told():
    for image in (COUNTS / 1000, 5000 + COUNTS):
        theirs = volume(image).with_(zscored=False)
        (note,) = agreement(volume(COUNTS + 500), theirs, "dna").notes
        assert "in other units than the truth (581" in note
        assert "PCC does" in note


def test_z_scores_without_provenance_are_taken_for_what_they_plainly_are():
    theirs = volume(predicted()).with_(zscored=False)
    result = agreement(volume(COUNTS + 500), theirs, "dna")
    assert result.scores == score(theirs.array, COUNTS + 500)


def test_projections_lie_nowhere_in_z():
    flat, other = COUNTS[:1], predicted()[:1]
    truth = volume(flat, (4.0, 0.29, 0.29), (9.0, 0.0, 0.0))
    np.testing.assert_allclose(
        aligned_stacks(truth, volume(other))[0], zscore_truth(flat), atol=1e-6
    )


def test_a_truth_of_uneven_planes_counts_where_it_was_recorded():
    kept = [0, 1, 2, 5]
    heights = tuple(SIZE[0] * z for z in kept)
    truth = Volume(COUNTS[kept], "ZYX", SIZE, plane_z=(heights,), name="dna")
    notes = []
    (stack,) = on_the_same_grid(truth, volume(predicted()), notes.append)
    np.testing.assert_allclose(stack[kept], COUNTS[kept], rtol=1e-4)
    between = (2 * COUNTS[2] + COUNTS[5]) / 3
    np.testing.assert_allclose(stack[3], between, rtol=1e-4)
    assert "not evenly spaced" in notes[0]


def test_times_must_be_as_many():
    truth = Volume(COUNTS[None].repeat(2, 0), "TZYX", SIZE)
    with pytest.raises(InputError, match="time points"):
        on_the_same_grid(truth, volume(predicted()), print)


def test_the_report_has_the_form_of_a_runs_own():
    report = comparison()
    content = json.loads(report.to_json())
    assert content["schema"] == 1
    assert content["model"]["id"] == "thin"
    assert content["structures"] == report.scores()
    assert content["truth"]["dna"] == "dna, truth"
    assert "one thing to know" in content["warnings"]
    assert "time" not in content
    content = json.loads(ComparisonReport((scored("dna"),), "s", "", time=3).to_json())
    assert content["package"] == __version__
    assert (content["input"], content["time"]) == ("s", 3)


def test_the_table_holds_every_single_score_with_all_digits():
    report = comparison()
    rows = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert [row["structure"] for row in rows] == ["dna", ODD]
    for key in SCALARS:
        assert float(rows[0][key]) == report.scores()["dna"][key]
