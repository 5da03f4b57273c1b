"""The catalogue answers to the names people use and its colours can be told apart."""

import pytest

from napari_sparsessp.errors import InputError, SparseSSPError
from napari_sparsessp.structures import (
    CATALOGUE,
    find_structure,
    match_channel,
    structure_id,
    structure_or_custom,
)
from vision import VISION, distances


def test_catalogue_holds_the_papers_twelve_in_order():
    assert " ".join(CATALOGUE) == (
        "actin_filament actomyosin_bundle cell_membrane desmosome dna "
        "endoplasmic_reticulum golgi_apparatus microtubule mitochondria "
        "nuclear_envelope nucleolus tight_junction"
    )
    assert all(key == structure.id for key, structure in CATALOGUE.items())
    labels = [structure.label for structure in CATALOGUE.values()]
    assert labels[3:6] == ["Desmosome", "DNA", "Endoplasmic reticulum"]
    published = sorted(structure.dataset for structure in CATALOGUE.values())
    assert published[:3] == ["alpha_tubulin", "beta_actin", "desmoplakin"]
    assert len(set(published)) == 12


@pytest.mark.parametrize("vision", VISION)
def test_colours_stay_apart_for_every_eye(vision):
    codes = [structure.colour for structure in CATALOGUE.values()]
    assert distances(codes, vision).min() > 14


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dna", "dna"),
        ("DAPI", "dna"),
        ("Nuclear Envelope", "nuclear_envelope"),
        ("nuclear-envelope", "nuclear_envelope"),
        ("lamin_b1", "nuclear_envelope"),
        ("LaminB1", "nuclear_envelope"),
        ("tom20", "mitochondria"),
        ("ZO-1", "tight_junction"),
        ("ER", "endoplasmic_reticulum"),
    ],
)
def test_structures_are_found_by_any_of_their_names(name, expected):
    assert find_structure(name).id == structure_id(name) == expected


@pytest.mark.parametrize("name", ["", "nothing", "bright field"])
def test_unknown_structures_are_listed(name):
    with pytest.raises(InputError, match=r"known: actin_filament, .*tight_junction"):
        find_structure(name)
    assert structure_id(name) == name


def test_models_may_bring_structures_of_their_own():
    stains = [structure_or_custom(name) for name in ("dapi", "map2", "nfh")]
    assert [stain.label for stain in stains] == ["DAPI", "MAP2", "NFH"]
    assert len({stain.colour for stain in stains}) == 3
    assert structure_or_custom("dna") is CATALOGUE["dna"]
    own = structure_or_custom("map2_dendrite")
    assert own.label == "Map2 dendrite"
    assert own.colour == structure_or_custom("map2_dendrite").colour
    assert own.colour in {structure.colour for structure in CATALOGUE.values()}


@pytest.mark.parametrize(
    ("structure", "names", "expected"),
    [
        ("dna", ["Bright-field", "DNA"], 1),
        ("dna", ["Mono", "DAPI", "FITC", "TRITC"], 1),
        ("dna", ["TL Brightfield", "Hoechst 33342 (405)"], 1),
        ("dna", ["nucleus", "dna"], 1),
        ("mitochondria", ["bottom", "atom", "custom"], None),
        ("cell_membrane", ["nuclear membrane"], None),
        ("cell_membrane", ["CellMask Deep Red"], 0),
        ("nuclear_envelope", ["Nuclear membrane"], 0),
        ("actin_filament", ["F-actin"], 0),
        ("actin_filament", ["actin 1", "actin 2"], None),
        ("map2", ["DAPI", "MAP2"], 1),
        # A model's own name for a structure of the catalogue.
        ("dapi", ["GFP", "DNA · truth"], 1),
        ("dapi", ["Hoechst 33342", "DAPI"], 1),
        ("dna", [], None),
    ],
)
def test_channels_are_matched_by_whole_words(structure, names, expected):
    assert match_channel(structure, names) == expected


@pytest.mark.parametrize("name", ["dna_std", "DNA ± std · predicted", "DNA, deviation"])
def test_how_unsure_a_structure_is_does_not_count_as_the_structure(name):
    assert match_channel("dna", [name]) is None
    assert match_channel("dna_std", ["dna", "dna_std"]) == 1


def test_errors_are_not_runtime_errors():
    assert not issubclass(SparseSSPError, RuntimeError)  # napari would swallow it
