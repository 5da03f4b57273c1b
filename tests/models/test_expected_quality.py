"""R² of a card, whoever wrote it."""

import pytest

from napari_sparsessp.models.card import Quality, expected_quality
from napari_sparsessp.models.library import read_card


@pytest.mark.parametrize(
    "name",
    ["colony-2d", "colony-2to3d", "colony-3d", "colony-3to2d"],
)
def test_the_shipped_colony_models_tell_all_structures_at_all_ratios(name):
    card = read_card(name)
    quality = expected_quality(card)
    assert set(quality.r2) == set(card.structures)
    assert quality.ratios == card.ratios
    assert quality.measured_on == "16 held-out simulated colonies"
    told = card.scores[quality.measured_on]["r2_at_4"]
    assert quality.at("dna", 4) == told["dna"]
    assert quality.mean(4) == pytest.approx(told["mean"], abs=1e-3)


def test_the_models_of_real_cells_tell_theirs():
    hipsc = expected_quality(read_card("hipsc-dna"))
    assert hipsc.ratios == (1, 2, 4, 8)
    assert "allen_hipsc_dna_top" in hipsc.measured_on
    neurons = expected_quality(read_card("neurons-isl"))
    assert set(neurons.r2) == {"dapi", "map2", "nfh"}
    assert neurons.ratios == (1,)


def test_a_trained_model_tells_its_validation(card):
    scores = {
        "validation": {
            "on": "the last fifth",
            "r2_by_structure_and_ratio": {"dna": {"1": 0.5, "4": None}, "odd": {}},
        }
    }
    quality = expected_quality(card.model_copy(update={"scores": scores}))
    assert quality == Quality("the last fifth", {"dna": {1.0: 0.5}})


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
