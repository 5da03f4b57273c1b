"""What a card promises, whatever form its scores have."""

import pytest

from fake_engine import card
from napari_sparsessp.models.library import list_models
from napari_sparsessp.ui.widgets.model_picker import (
    expected_quality,
    mean_quality,
    r2_text,
)

HELD_OUT = {"16 colonies": {"r2_at_2": {"dna": 0.6}, "r2_at_8": {"dna": 0.4}}}


def test_a_measured_ratio_is_told_as_it_was_measured():
    found = expected_quality(card(scores=HELD_OUT), "dna", 8)
    assert found.r2 == 0.4
    assert found.measured_on == "16 colonies"


def test_between_two_ratios_it_is_interpolated_over_doublings():
    assert expected_quality(card(scores=HELD_OUT), "dna", 4).r2 == pytest.approx(0.5)


@pytest.mark.parametrize("ratio", [1, 16, None])
def test_nothing_is_promised_beyond_what_was_measured(ratio):
    assert expected_quality(card(scores=HELD_OUT), "dna", ratio) is None


def test_a_structure_without_scores_promises_nothing():
    one = card(scores=HELD_OUT)
    assert expected_quality(one, "nucleolus", 2) is None
    assert mean_quality(one, ("nucleolus",), 2) is None
    assert mean_quality(one, ("dna", "nucleolus"), 2).r2 == 0.6


def test_what_training_here_writes_is_understood():
    scores = {
        "validation": {
            "on": "the lower third",
            "r2": 0.3,
            "r2_by_structure_and_ratio": {"dna": {"1": 0.35, "4": 0.25}},
        }
    }
    found = expected_quality(card(scores=scores), "dna", 4)
    assert (found.r2, found.measured_on) == (0.25, "the lower third")


@pytest.mark.parametrize("scores", [{}, {"a": 3}, {"a": {"r2_at_4": "good"}}])
def test_other_scores_promise_nothing(scores):
    assert expected_quality(card(scores=scores), "dna", 4) is None


def test_every_shipped_model_says_what_to_expect_where_it_was_made_for():
    cards = list_models()
    if not cards:
        pytest.skip("no model is shipped in this checkout")
    for one in cards:
        if one.scores:
            for ratio in one.ratios:
                assert mean_quality(one, one.structures, ratio) is not None, one.id


def test_minus_is_a_minus():
    assert r2_text(-0.214) == "\u22120.21"
