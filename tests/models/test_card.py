import json

import pytest

from napari_sparsessp.errors import ModelError
from napari_sparsessp.models.card import SCHEMA, ModelCard, parse_card


def test_a_card_comes_back_from_json_as_it_was(card):
    assert parse_card(card.to_json(), "here") == card
    assert json.loads(card.to_json())["schema"] == SCHEMA


def test_a_newer_schema_is_refused_with_the_advice_to_update(card):
    newer = json.loads(card.to_json()) | {"schema": SCHEMA + 1, "unheard_of": 1}
    with pytest.raises(ModelError, match="too new.*update napari-sparsessp"):
        parse_card(json.dumps(newer), "here")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("structures", []),
        ("structures", ["dna", "dna"]),
        ("voxel_size", [0.29, 0, 0.29]),
        ("voxel_size", [0.29, float("nan"), 0.29]),
        ("ratios", [0.5]),
        ("topology", "4d"),
        ("id", "../escape"),
        ("schema", "one"),
        ("unheard_of", 1),
        ("network", {"outputs": 3}),
        ("network", {"topology": "2d"}),
        ("network", {"interpolation": "hold"}),
        ("scaling", "loud"),
        ("check", {}),
        ("check", {"seed": -1}),
    ],
)
def test_a_damaged_card_is_refused(card, field, value):
    raw = json.loads(card.to_json()) | {field: value}
    with pytest.raises(ModelError, match=r"is damaged \(.*get the file again") as error:
        parse_card(json.dumps(raw), "here")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000])
def test_what_is_no_card_is_refused(text):
    with pytest.raises(ModelError, match="get the file again"):
        parse_card(text, "here")


def test_text_that_could_not_be_saved_again_is_refused(card):
    raw = json.loads(card.to_json()) | {"name": "\ud800"}
    with pytest.raises(ModelError, match="get the file again"):
        parse_card(json.dumps(raw), "here")


def test_a_card_cannot_be_changed(card):
    with pytest.raises(ValueError, match="frozen"):
        card.id = "other"
    assert isinstance(card, ModelCard)


def test_a_card_of_before_scaling_and_checks_is_read_as_it_was_meant(card):
    raw = json.loads(card.to_json())
    for field in ("scaling", "source", "check"):
        del raw[field]
    old = parse_card(json.dumps(raw), "here")
    assert old.scaling == "robust"
    assert old.source == {}
    assert old.check is None
    assert old == card
