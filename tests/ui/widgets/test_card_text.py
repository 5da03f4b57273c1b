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
    score_lines,
)


def rows(card):
    return dict(card_rows(card))


@pytest.mark.parametrize(
    ("conditioning", "network", "said"),
    [
        ("multihead", {}, "one pass"),
        ("dodnet", {}, "one pass"),
        ("repmode", {}, "all 12 take 12 times"),
        ("multinet", {}, "a pass of its own"),
        ("tsn", {}, "encoder runs once"),
        ("condnet", {"task_where": "input"}, "a pass of its own"),
        ("tgnet", {"task_where": "all"}, "a pass of its own"),
        ("condnet", {}, "encoder runs once"),
        ("multihead", {"heads": "decoder"}, "encoder runs once"),
    ],
)
def test_the_cost_of_many_structures_is_told_honestly(conditioning, network, said):
    assert said in cost_words(card(conditioning=conditioning, network=network))
    alone = card(conditioning=conditioning, network=network, structures=("dna",))
    assert cost_words(alone) == ""
    assert "Cost" not in rows(alone)


def test_everything_one_must_know_is_told(card):
    told = rows(card(licence="BSD", scores={"cells": {"r2_at_4": {"mean": 0.5}}}))
    assert told["Made for"] == "bright-field, r = 1, 2, 4, 8"
    assert told["Limits"] == "• Trained on simulated cells only."
    assert told["Scores"].split() == ["cells:", "r", "=", "4", "R²", "0.50"]
    assert told["Licence"] == "BSD"
    assert "Nuclear envelope" in told["12 structures"]
    source = {"format": "RepMode", "file": "best.p", "sha256": "0"}
    told = rows(card(scores={}, limits=(), source=source))
    assert (told["Scores"], told["Came from"]) == ("none given", "RepMode, best.p")


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


@pytest.mark.parametrize(
    ("ratio", "r2"), [(8, 0.4), (4, 0.5), (1, None), (16, None), (None, None)]
)
def test_quality_is_as_measured_or_between_and_never_promised_beyond(ratio, r2):
    found = expected_quality(card(scores=HELD_OUT), "dna", ratio)
    assert (found and found.r2) == (r2 and pytest.approx(r2))
    assert found is None or "16 colonies" in found.measured_on


def test_a_structure_without_scores_promises_nothing():
    one = card(scores=HELD_OUT)
    assert expected_quality(one, "nucleolus", 2) is None
    assert mean_quality(one, ("nucleolus",), 2) is None
    assert mean_quality(one, ("dna", "nucleolus"), 2).r2 == 0.6


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


def test_what_training_here_writes_is_understood():
    by_ratio = {"dna": {"1": 0.35, "4": 0.25}}
    scores = {"on": "the lower third", "r2_by_structure_and_ratio": by_ratio}
    found = expected_quality(card(scores={"validation": scores}), "dna", 4)
    assert (found.r2, found.measured_on) == (0.25, "the lower third")
