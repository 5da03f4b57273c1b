"""A card in plain words: what it costs, how it scored, where it came from."""

import pytest

from napari_sparsessp.ui.widgets.model_picker import (
    card_rows,
    cost_words,
    count_text,
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
