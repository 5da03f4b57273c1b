"""A card in plain words: what it costs, how it scored, what to expect."""

import pytest

from fake_engine import card
from napari_sparsessp.models.library import list_models
from napari_sparsessp.ui.widgets.card_text import (
    card_rows,
    cost_words,
    count_text,
    expected_quality,
    mean_quality,
    r2_text,
    score_lines,
)


def rows(card):
    return dict(card_rows(card))


@pytest.mark.parametrize(
    ("conditioning", "said"),
    [
        ("multihead", "one pass"),
        ("dodnet", "one pass"),
        ("repmode", "a pass of its own"),
        ("multinet", "a pass of its own"),
        ("tsn", "encoder runs once"),
    ],
)
def test_the_cost_of_many_structures_is_told_honestly(card, conditioning, said):
    assert said in cost_words(card(conditioning=conditioning))


@pytest.mark.parametrize(
    ("conditioning", "network", "said"),
    [
        ("condnet", {"task_where": "input"}, "a pass of its own"),
        ("tgnet", {"task_where": "all"}, "a pass of its own"),
        ("condnet", {}, "encoder runs once"),
        ("multihead", {"heads": "decoder"}, "encoder runs once"),
    ],
)
def test_where_the_structure_enters_decides_the_cost(card, conditioning, network, said):
    one = card(conditioning=conditioning, network=network)
    assert said in cost_words(one)


def test_twelve_passes_are_called_twelve(card):
    assert "all 12 take 12 times" in cost_words(card(conditioning="repmode"))


def test_one_structure_has_no_cost_to_speak_of(card):
    one = card(conditioning="repmode", structures=("dna",))
    assert cost_words(one) == ""
    assert "Cost" not in rows(one)


def test_everything_one_must_know_is_told(card):
    told = rows(card(licence="BSD", scores={"cells": {"r2_at_4": {"mean": 0.5}}}))
    assert told["Made for"] == "bright-field, r = 1, 2, 4, 8"
    assert told["Limits"] == "• Trained on simulated cells only."
    assert told["Scores"].split() == ["cells:", "r", "=", "4", "R²", "0.50"]
    assert told["Licence"] == "BSD"
    assert "Nuclear envelope" in told["12 structures"]


def test_a_model_without_scores_says_so(card):
    assert rows(card(scores={}, limits=()))["Scores"] == "none given"


def test_an_imported_model_says_where_it_came_from(card):
    told = rows(card(source={"format": "RepMode", "file": "best.p", "sha256": "0"}))
    assert told["Came from"] == "RepMode, best.p"


def test_scores_of_any_shape_are_readable():
    lines = score_lines({"whole": 0.25, "r": {"pcc_at_2": -0.5}, "n": {"a": {"b": 1}}})
    assert lines[0] == "whole: 0.25"
    assert lines[2].strip() == "r = 2 PCC \u22120.50"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (123_877_633, "124 million"),
        (999_999, "1 million"),
        (5200, "5.2 thousand"),
        (7, "7"),
    ],
)
def test_large_numbers_are_written_as_said(number, text):
    assert count_text(number) == text


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
