"""Means over images and over structures, checked against the paper's Table 7."""

import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.metrics import improvement, mean_fields, means

# Multi-Net, r = 1: MSE of each structure; every test set has 20 images, the cell
# membrane's 13.
MULTI_NET = {
    "actin_filament": 0.4241,
    "actomyosin_bundle": 0.7247,
    "cell_membrane": 0.5940,
    "desmosome": 0.8393,
    "dna": 0.5806,
    "endoplasmic_reticulum": 0.4635,
    "golgi_apparatus": 0.8023,
    "microtubule": 0.3682,
    "mitochondria": 0.4684,
    "nuclear_envelope": 0.3014,
    "nucleolus": 0.2164,
    "tight_junction": 0.6474,
}


def _table_7():
    for name, value in MULTI_NET.items():
        for _ in range(13 if name == "cell_membrane" else 20):
            yield name, value


def test_the_papers_all_is_the_mean_over_images():
    both = means(_table_7())
    assert sum(both.counts.values()) == 233
    assert both.over_images == pytest.approx(0.5341, abs=5e-5)


def test_the_mean_over_structures_weighs_them_alike():
    both = means(_table_7())
    assert both.over_structures == pytest.approx(sum(MULTI_NET.values()) / 12)
    assert both.over_structures != pytest.approx(both.over_images, abs=1e-3)
    assert both.structures == pytest.approx(MULTI_NET)


@pytest.mark.parametrize(
    ("score", "base", "value", "percent"),
    [
        ("mse", 0.5341, 0.4995, 6.478),
        ("mae", 0.4269, 0.4113, 3.654),
        ("r2", 0.4337, 0.4693, 8.208),
        ("mse", 0.5341, 0.5386, -0.843),
        ("r2", 0.4337, 0.4292, -1.037),
    ],
)
def test_improvements_are_those_of_table_7(score, base, value, percent):
    assert improvement(base, value, score) == pytest.approx(percent, abs=1.1e-3)


def test_no_percentage_of_a_baseline_that_is_not_positive():
    with pytest.raises(InputError, match="no percentage"):
        improvement(-0.2, 0.3, "r2")


def test_undefined_scores_do_not_count():
    both = means([("dna", 0.5), ("dna", None), ("golgi_apparatus", None)])
    assert both.over_images == both.over_structures == 0.5
    assert both.counts == {"dna": 1}
    nothing = means([("dna", None)])
    assert nothing.over_images is None
    assert nothing.over_structures is None


def test_both_means_of_reports_are_named():
    one = {"dna": {"r2": 0.9, "mse": 0.1}, "desmosome": {"r2": 0.1}, "nucleolus": {}}
    both = mean_fields([one, {"dna": {"r2": 0.5}}])
    assert both["over_images"]["r2"] == pytest.approx(0.5)
    assert both["over_structures"]["r2"] == pytest.approx(0.4)
    assert both["over_structures"]["mse"] == pytest.approx(0.1)
    assert both["over_images"]["ssim"] is None
