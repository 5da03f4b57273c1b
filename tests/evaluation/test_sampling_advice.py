"""The answer of a sweep: the fewest planes that do, or why nobody can tell."""

import re

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
    ("rule", "planes"),
    [
        *((LoseAtMost(lost), n) for lost, n in ((0, 32), (0.01, 16), (0.05, 8))),
        *((KeepShare(kept), n) for kept, n in ((1, 32), (0.95, 16), (0.9, 8))),
        (LoseAtMost(0.2), 4),
        (None, 16),  # 95 % are kept unless said otherwise
    ],
)
def test_the_fewest_planes_follow_from_the_rule(rule, planes):
    # 0.95 of 0.6 is 0.57, rounding or not
    curve = _curve(0.60, 0.57 if rule is None else 0.59, 0.55, 0.45)
    need = planes_needed(curve, rule)
    assert need.fewest.planes == planes
    assert need.sparsest_tried == (planes == 4)
    assert planes_needed(curve[::-1], rule) == need


@pytest.mark.parametrize("densest", [0.0, -0.3])
def test_of_a_score_that_is_nothing_no_share_can_be_kept(densest):
    curve = _curve(densest, densest)
    assert planes_needed(curve, KeepShare()) is None
    assert planes_needed(curve, LITTLE) is not None
    assert "R² cannot tell" in _answer((densest, densest), rule=KeepShare())


def test_what_is_no_rule_is_refused():
    for share in (0, -0.1, 1.01, float("nan")):
        with pytest.raises(InputError, match="for example 0.95"):
            KeepShare(share)
    with pytest.raises(InputError, match="0 or more"):
        LoseAtMost(-0.1)


def test_a_dip_on_the_way_is_told():
    need = planes_needed(_curve(0.60, 0.50, 0.60), LITTLE)
    assert need.fewest.planes == 8
    assert need.failed_between == (16,)
    assert "not with 16 planes" in _answer((0.60, 0.50, 0.60), (0.9, 0.9, 0.9))


ENOUGH = "8 of 32 planes (r = 4) are enough: R² of DNA is 0.60 there, "


@pytest.mark.parametrize(
    ("r2", "more", "said"),
    [
        (
            (0.62, 0.61, 0.605, 0.40),
            {},
            f"^{re.escape(ENOUGH)}within 0.02 of 0.62 at r = 1, all 32 planes.$",
        ),
        (
            (0.62, 0.61, 0.605, 0.40),
            {"rule": KeepShare(0.95)},
            f"^{re.escape(ENOUGH)}98 % of 0.62 at r = 1, all 32 planes.$",
        ),
        ((0.62, 0.62, 0.62, 0.62), {}, "fewer were not tried.$"),
        (
            (0.62, 0.5, 0.4, 0.3),
            {"rule": KeepShare(0.95)},
            r"^All 32 planes \(r = 1\) are needed: every .* keeps less than 95 %",
        ),
        (
            (0.1, 0.1, 0.1, 0.1),
            {"trivial": {"the mean by plane": 0.14, "x": None}},
            r"no better than that of the mean by plane \(0.14\)",
        ),
        ((0.6,), {"pcc": (0.9,)}, "sweep more ratios"),
    ],
)
def test_the_sentence_names_planes_scores_and_what_is_kept(r2, more, said):
    assert re.search(said, _answer(r2, **more))


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
    assert text.endswith(f"found either: PCC in planes is {pattern:.2f}.")
    assert "enough" not in text


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
