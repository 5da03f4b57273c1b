"""What all shipped models have in common."""

import pytest

from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.models.library import (
    find_model,
    list_models,
    read_card,
    shipped_folder,
)
from napari_sparsessp.volume import content_hash

COLONY = ("colony-2d", "colony-2to3d", "colony-3d", "colony-3to2d")
OTHERS = ("hipsc-dna", "neurons-isl")


@pytest.fixture(autouse=True)
def _no_models_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSESSP_MODELS", str(tmp_path))


def test_all_models_ship_and_the_default_comes_first():
    ids = [card.id for card in list_models()]
    assert ids[0] == "colony-3to2d"
    assert sorted(ids) == sorted((*COLONY, *OTHERS))


def test_together_they_stay_below_forty_megabytes():
    files = list(shipped_folder().glob("*.safetensors"))
    assert sum(path.stat().st_size for path in files) <= 40e6


@pytest.mark.parametrize("name", COLONY)
def test_each_topology_has_its_colony_model(name):
    """Asking for a topology gives it, not a fine-tuned relative."""
    topology = name.removeprefix("colony-")
    assert read_card(find_model("default", topology)).id == name
    card = read_card(find_model(name))
    assert len(card.structures) == 12
    assert card.ratios == (1, 2, 4, 8)
    assert set(card.uncertainty) == set(card.structures)


@pytest.mark.parametrize(
    ("name", "image", "seen"),
    [
        ("hipsc-dna", "allen_hipsc_dna_top", True),
        ("neurons-isl", "isl_neurons_phase_left", True),
        ("colony-3to2d", "allen_hipsc_dna_top", False),
    ],
)
def test_the_real_stacks_that_a_model_has_seen_are_known(
    shared_data, name, image, seen
):
    light = load_volume(shared_data(f"{image}.ome.tif"), channel=0, need_channel=True)
    assert (content_hash(light) in read_card(name).training_images) is seen


@pytest.mark.parametrize("name", [*COLONY, *OTHERS])
def test_a_card_says_what_one_must_know(name):
    card = read_card(find_model(name))
    for words in (card.licence, card.citation, card.trained_on, card.modality):
        assert words
    assert card.limits
    assert card.scores
    assert card.check is not None
    assert len(card.familiarity) >= 7
    licence = {"hipsc-dna": "Allen Institute", "neurons-isl": "CC BY 4.0"}
    assert licence.get(name, "BSD") in card.licence
