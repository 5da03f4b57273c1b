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
def test_the_cost_of_many_structures_is_said_honestly(conditioning, network, said):
    assert said in cost_words(card(conditioning=conditioning, network=network))
    alone = card(conditioning=conditioning, network=network, structures=("dna",))
    assert "Cost" not in rows(alone)


def test_a_card_gives_everything_to_know(card):
    told = rows(card(licence="BSD", scores={"cells": {"r2_at_4": {"mean": 0.5}}}))
    assert told["Made for"] == "bright-field, r = 1, 2, 4, 8"
    assert told["Limits"] == "• Trained on simulated cells only."
    assert told["Scores"].split() == ["cells:", "r", "=", "4", "R²", "0.50"]
    assert told["Licence"] == "BSD"
    assert "Nuclear envelope" in told["12 structures"]
    source = {"format": "RepMode", "file": "best.p", "sha256": "0"}
    told = rows(card(scores={}, limits=(), source=source))
    assert (told["Scores"], told["Came from"]) == ("none given", "RepMode, best.p")
    words = "simulated colonies, bright-field, 0.29 µm, r = 1, 2, 4, 8"
    assert told["Made for"] == words  # others made it: the cells belong to it


def test_scores_of_any_shape_are_readable():
    lines = score_lines({"whole": 0.25, "r": {"pcc_at_2": -0.5}, "n": {"a": {"b": 1}}})
    assert lines[0] == "whole: 0.25"
    assert lines[2].strip() == "r = 2 PCC \u22120.50"


def test_large_numbers_are_written_as_said():
    texts = ["124 million", "1 million", "5.2 thousand", "7"]
    assert list(map(count_text, (123_877_633, 999_999, 5200, 7))) == texts


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
    assert expected_quality(card(scores={}), "dna", 2) is None


def test_every_shipped_model_says_what_to_expect_where_it_was_made_for():
    for one in list_models():
        for ratio in one.ratios if one.scores else ():
            assert mean_quality(one, one.structures, ratio) is not None, one.id
