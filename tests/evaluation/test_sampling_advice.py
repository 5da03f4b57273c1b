"""The answer of a sweep: the fewest planes that do, or why nobody can tell."""

import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.sampling_advice import (
    ImagingCost,
    KeepShare,
    LoseAtMost,
    Point,
    answer,
    planes_needed,
)


def _curve(*values, depth=32):
    ratios = (1, 2, 4, 8)[: len(values)]
    return [
        Point(ratio, depth // ratio, value)
        for ratio, value in zip(ratios, values, strict=True)
    ]


LITTLE = LoseAtMost(0.02)


def _answer(r2, pcc=(0.9, 0.9, 0.9, 0.9), rule=LITTLE, trivial=None):
    return answer(_curve(*r2), _curve(*pcc), rule, "DNA", trivial or {})


@pytest.mark.parametrize(
    ("tolerance", "planes"), [(0.0, 32), (0.01, 16), (0.05, 8), (0.2, 4)]
)
def test_the_fewest_planes_follow_from_the_tolerance(tolerance, planes):
    need = planes_needed(_curve(0.60, 0.59, 0.55, 0.45), LoseAtMost(tolerance))
    assert need.fewest.planes == planes
    assert need.sparsest_tried == (planes == 4)


@pytest.mark.parametrize(
    ("share", "planes"), [(1.0, 32), (0.98, 16), (0.95, 16), (0.9, 8), (0.7, 4)]
)
def test_the_fewest_planes_follow_from_the_share_that_is_kept(share, planes):
    need = planes_needed(_curve(0.60, 0.59, 0.55, 0.45), KeepShare(share))
    assert need.fewest.planes == planes


def test_a_share_of_95_percent_is_kept_unless_said_otherwise():
    # 0.95 of 0.6 is 0.57, rounding or not
    assert planes_needed(_curve(0.60, 0.57, 0.5699)).fewest.planes == 16


def test_a_share_is_of_the_score_and_not_a_difference():
    weak = _curve(0.20, 0.185)
    assert planes_needed(weak, LITTLE).fewest.planes == 16
    assert planes_needed(weak, KeepShare(0.95)).fewest.planes == 32


@pytest.mark.parametrize("densest", [0.0, -0.3])
def test_of_a_score_that_is_nothing_no_share_can_be_kept(densest):
    curve = _curve(densest, densest)
    assert planes_needed(curve, KeepShare()) is None
    assert planes_needed(curve, LITTLE) is not None
    assert "R² cannot tell" in _answer((densest, densest), rule=KeepShare())


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(InputError, match="for example 0.95"):
        KeepShare(share)


def test_nobody_can_lose_less_than_nothing():
    with pytest.raises(InputError, match="0 or more"):
        LoseAtMost(-0.1)


def test_the_order_of_the_points_does_not_matter():
    curve = _curve(0.60, 0.59, 0.55, 0.45)
    assert planes_needed(curve[::-1]) == planes_needed(curve)


def test_a_dip_on_the_way_is_told():
    need = planes_needed(_curve(0.60, 0.50, 0.60), LITTLE)
    assert need.fewest.planes == 8
    assert need.failed_between == (16,)
    assert "not with 16 planes" in _answer((0.60, 0.50, 0.60), (0.9, 0.9, 0.9))


def test_the_sentence_names_planes_scores_and_tolerance():
    text = _answer((0.62, 0.61, 0.605, 0.40))
    assert text == (
        "8 of 32 planes (r = 4) are enough: R² of DNA is 0.60 there, within 0.02 of "
        "0.62 at r = 1, all 32 planes."
    )


def test_the_sentence_of_a_share_tells_how_much_is_kept():
    text = _answer((0.62, 0.61, 0.605, 0.40), rule=KeepShare(0.95))
    assert text == (
        "8 of 32 planes (r = 4) are enough: R² of DNA is 0.60 there, 98 % of 0.62 at "
        "r = 1, all 32 planes."
    )
    text = _answer((0.62, 0.5, 0.4, 0.3), rule=KeepShare(0.95))
    assert "every sparser stack tried keeps less than 95 % of the R² of DNA" in text


def test_the_sparsest_may_not_be_the_limit():
    assert _answer((0.62, 0.62, 0.62, 0.62)).endswith("fewer were not tried.")


def test_all_planes_may_be_needed():
    assert _answer((0.62, 0.5, 0.4, 0.3)).startswith("All 32 planes (r = 1) are needed")


def test_a_model_that_does_not_work_has_no_number_of_planes():
    text = _answer((-0.09, -0.06, -0.07, 0.0), (0.413, 0.412, 0.392, 0.381))
    assert text.startswith("R² cannot tell")
    assert "no better than that of a constant (0.00)" in text
    assert "For the pattern alone, 16 of 32 planes" in text


@pytest.mark.parametrize(("pattern", "trivial"), [(0.06, 0.0), (0.3, 0.35)])
def test_a_pattern_that_is_not_there_needs_no_planes(pattern, trivial):
    text = answer(
        _curve(-0.2, -0.2), _curve(pattern, pattern), LITTLE, "DNA", {}, trivial
    )
    assert text.endswith(f"found either: Pearson within planes is {pattern:.2f}.")
    assert "enough" not in text


def test_a_model_that_loses_to_a_trivial_predictor_is_not_recommended():
    text = _answer((0.1, 0.1, 0.1, 0.1), trivial={"the mean by plane": 0.14, "x": None})
    assert "no better than that of the mean by plane (0.14)" in text


def test_one_ratio_has_nothing_to_compare_with():
    assert "sweep more ratios" in _answer((0.6,), (0.9,))


def test_scores_that_are_not_defined_give_no_answer():
    assert planes_needed(_curve(None, 0.5)) is None
    assert "not defined" in _answer((None, 0.5), (0.9, 0.9))
    assert planes_needed(_curve(0.5, None, 0.5)).fewest.planes == 8


def test_a_quarter_of_the_planes_is_a_quarter_of_light_and_time():
    cost = ImagingCost(planes=8, dense_planes=32, plane_ms=50, times=10)
    assert cost.light == 0.25
    assert cost.stack_seconds == pytest.approx(0.4)
    assert cost.series_seconds == pytest.approx(4)
    assert cost.dense_series_seconds == pytest.approx(16)
    assert cost.stacks_for_one == 4
