"""A sweep as curves, rows and words: what is drawn, what is enough, what it costs."""

import math

import numpy as np
import pytest

from napari_sparsessp.evaluation.sampling_advice import ImagingCost, KeepShare
from napari_sparsessp.evaluation.sweep_report import judged
from napari_sparsessp.ui.plan.curves import (
    cost_sentence,
    curves_of,
    each_sentence,
    legend_of,
    nth,
    range_of,
    rows_of,
    seconds_text,
)
from swept import report_of

TWO = {"dna": (0.6, 0.59, 0.4), "golgi_apparatus": (0.5, 0.45, 0.2)}


def _curves(report, score="r2", shown=("dna", "golgi_apparatus"), **more):
    return curves_of(report, score, shown, lambda id_: "#123456", "#999999", **more)


def _named(curves):
    return {one.name: one for one in curves if one.name}


def test_a_structure_that_is_shown_has_its_curve_and_several_have_a_mean():
    legend = legend_of(_curves(report_of(TWO)))  # from top to bottom
    assert legend.index("DNA") < legend.index("mean") < legend.index("Golgi")
    curves = _named(_curves(report_of(TWO), shown=("dna",)))
    assert curves["DNA"].y == [0.6, 0.59, 0.4]
    assert curves["DNA"].x == [0, 1, 2], "each doubling of the ratio is a step"
    assert "Golgi apparatus" not in curves
    assert curves["mean of 2"].y == pytest.approx([0.55, 0.52, 0.3])
    alone = _named(_curves(report_of({"dna": (0.6, 0.5)})))
    assert not any("mean" in name for name in alone)


def test_lines_show_what_is_enough_and_what_needs_no_network():
    curves = _named(_curves(report_of(TWO, trivial=0.2)))
    assert curves["enough"].y == pytest.approx([0.95 * 0.55] * 2)
    assert curves["enough"].dashed
    assert curves["possible without a network"].y == [0.2, 0.2]
    own = _named(_curves(report_of(TWO, reference="dense prediction")))
    assert "possible without a network" not in own
    growing = _named(_curves(report_of({"dna": (0.6,)}), until=8))
    assert max(growing["enough"].x) == 3, "room for what is still to come"


def test_the_range_of_starts_is_a_line_upright():
    curves = _curves(report_of({"dna": (0.6, 0.5)}, spread=0.1))
    (spread,) = (one for one in curves if not one.name)
    assert spread.x[:2] == [1, 1]
    assert spread.y[:2] == pytest.approx([0.4, 0.5])
    assert math.isnan(spread.y[2])


def test_the_range_hides_neither_nothing_nor_less():
    assert range_of(_curves(report_of(TWO)))[0] == 0
    low, high = range_of(_curves(report_of({"dna": (-0.1, -0.2)})))
    assert low == pytest.approx(-0.22)
    assert high >= 0.1
    assert range_of(_curves(report_of({"dna": (-9.0, -9.0)})))[0] == -0.5
    undefined = _named(_curves(report_of({"dna": (0.6, 0.5)}), score="ssim"))
    assert np.isnan(undefined["DNA"].y).all()
    assert "enough" not in undefined


def test_a_row_says_whether_the_ratio_is_enough():
    rows = rows_of(report_of(TWO), "r2", 50, 10)
    assert [row.enough for row in rows] == [True, False, False]
    assert rows[1].kept == pytest.approx(0.52 / 0.55)
    assert rows[2].cost.series_seconds == pytest.approx(8 * 0.05 * 10)
    easy = rows_of(judged(report_of(TWO), KeepShare(0.5)), "r2", 50, 10)
    assert [row.enough for row in easy] == [True, True, True]
    worthless = rows_of(report_of({"dna": (0.1, 0.1)}, trivial=0.2), "r2", 50, 1)
    assert [row.enough for row in worthless] == [None, None]


def test_a_ratio_is_counted_as_people_count():
    said = [nth(ratio) for ratio in (1, 2, 3, 4, 12, 21)]
    assert said == ["every plane", "2nd", "3rd", "4th", "12th", "21st"]


def test_a_time_has_the_digits_that_one_cares_for():
    said = [seconds_text(one) for one in (0.05, 0.4, 1.6, 80, 320, 7200, 36_000)]
    assert said == ["0.05 s", "0.4 s", "1.6 s", "80 s", "5.3 min", "2 h", "10 h"]


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (ImagingCost(8, 32, 50, 200),
         "8 of 32 planes: 25 % of the light, 0.4 s instead of 1.6 s a stack, 80 s "
         "instead of 5.3 min of imaging for 200 stacks. Or 4 times as many stacks with "
         "the light of dense ones. Predicting one took 2.3 s here."),
        (ImagingCost(8, 32), "8 of 32 planes: 25 % of the light. Or"),
        (ImagingCost(32, 32, 50), "All 32 planes: all of the light, 1.6 s a stack. P"),
    ],
    ids=["a series", "without an exposure", "every plane"],
)  # fmt: skip
def test_the_sentence_says_light_and_time_of_stack_and_series(cost, said):
    assert cost_sentence(cost, 2.3).startswith(said)


def test_each_structure_may_need_its_own_number_of_planes():
    report = report_of(
        {
            "dna": (0.6, 0.59, 0.58),
            "golgi_apparatus": (0.6, 0.59, 0.3),
            "microtubule": (-0.1, -0.1, -0.1),
        }
    )
    assert each_sentence(report) == (
        "Each by itself: 8 planes for DNA; 16 planes for Golgi apparatus; nobody can "
        "tell for Microtubule."
    )
    assert each_sentence(report_of({"dna": (0.6, 0.5)})) == ""
