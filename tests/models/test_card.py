import json

import pytest

from napari_sparsessp.errors import ModelError
from napari_sparsessp.models.card import (
    SCHEMA,
    Quality,
    Range,
    all_qualities,
    expected_quality,
    parse_card,
)
from napari_sparsessp.models.library import read_card


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
        ("voxel_size", [0.29, float("nan"), 0.29]),
        ("ratios", [0.5]),
        ("topology", "4d"),
        ("schema", "one"),
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


def test_text_that_could_not_be_saved_again_is_refused(card):
    raw = json.loads(card.to_json()) | {"name": "\ud800"}
    with pytest.raises(ModelError, match="get the file again"):
        parse_card(json.dumps(raw), "here")


def test_a_card_of_before_scaling_and_checks_is_read_as_it_was_meant(card):
    raw = json.loads(card.to_json())
    for field in ("scaling", "source", "check"):
        del raw[field]
    old = parse_card(json.dumps(raw), "here")
    assert old.scaling == "robust"
    assert old.source == {}
    assert old.check is None
    assert old == card


@pytest.mark.parametrize(
    "name", ["colony-2d", "colony-2to3d", "colony-3d", "colony-3to2d"]
)
def test_the_shipped_colony_models_say_what_is_real_and_what_is_simulated(name):
    card = read_card(name)
    real, simulated = all_qualities(card)
    assert (real.data, real.r2.keys()) == ("real", {"dna"})
    assert real.measured_on == "dna of 1 real pair(s)"
    assert real.at("dna", 1) == card.scores[real.measured_on]["at_1"]["r2"]
    assert (simulated.data, simulated.held_out) == ("simulated", True)
    assert simulated.cells == "simulated test cells"
    assert set(simulated.r2) == set(card.structures)
    assert real.ratios == simulated.ratios == card.ratios
    said = card.scores[simulated.measured_on]["r2_at_4"]
    assert simulated.at("dna", 4) == said["dna"]
    assert simulated.mean(4) == pytest.approx(said["mean"], abs=1e-3)
    assert expected_quality(card, "dna") == real
    assert expected_quality(card, "nucleolus") == simulated


def test_the_models_of_real_cells_have_theirs():
    hipsc = expected_quality(read_card("hipsc-dna"))
    assert hipsc.ratios == (1, 2, 4, 8)
    assert "allen_hipsc_dna_top" in hipsc.measured_on
    assert hipsc.cells == "real cells, held out"
    neurons = expected_quality(read_card("neurons-isl"))
    assert set(neurons.r2) == {"dapi", "map2", "nfh"}
    assert neurons.ratios == (1,)
    assert neurons.cells == "real cells, held out"


@pytest.mark.parametrize("data", ["real", "simulated", None])
def test_a_trained_model_says_its_validation(card, data):
    table = {"dna": {"1": 0.5, "4": None}, "odd": {}}
    scores = {"on": "the last fifth", "r2_by_structure_and_ratio": table}
    if data is not None:
        scores["data"] = data
    quality = expected_quality(card.model_copy(update={"scores": {"a": scores}}))
    assert quality == Quality("the last fifth", {"dna": {1.0: 0.5}}, data, True)


def test_hashes_of_training_images_are_kept_and_nothing_is_written_without(card):
    assert "training_images" not in card.to_json()
    seen = card.model_copy(update={"training_images": ("a" * 64,)})
    assert parse_card(seen.to_json(), "here") == seen


@pytest.mark.parametrize(
    "scores",
    [
        {},
        {"r2": 0.5},
        {"on": "words"},
        {"a": {"r2_at_x": {"dna": 1}, "r2_at_4": 3, "r2 of model": "good"}},
        {"a": {"r2_at_4": {"dna": "high"}, "r2_by_structure_and_ratio": [1]}},
        {"a": {"r2_at_0": {"dna": 1.0}}},
    ],
)
def test_a_card_without_such_scores_has_no_quality(card, scores):
    assert expected_quality(card.model_copy(update={"scores": scores})) is None


def test_between_ratios_it_is_interpolated_and_beyond_them_nothing_is_told():
    quality = Quality("", {"dna": {1.0: 0.6, 4.0: 0.4}})
    assert quality.at("dna", 1.04) == 0.6
    assert quality.at("dna", 2) == pytest.approx(0.5)
    assert quality.at("dna", 8) is None
    assert quality.at("golgi_apparatus", 1) is None
    assert quality.mean(8) is None


def test_an_empty_range_is_refused():
    with pytest.raises(ValueError, match="empty"):
        Range(low=1, high=1)
