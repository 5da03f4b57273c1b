"""Palettes and people's own colours."""

import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.ui.preferences import (
    CLASSIC,
    Preferences,
    read_own_colours,
)


def test_the_classic_palette_names_each_structure_once():
    assert list(CLASSIC) == list(CATALOGUE)
    assert len(set(CLASSIC.values())) == 12


@pytest.mark.parametrize("palette", ["safe", "classic"])
def test_every_structure_has_a_colour(palette):
    for structure in (*CATALOGUE, "map2", "a_models_own", "dna_std"):
        assert len(Preferences(palette=palette).colour(structure)) == 7


def test_own_colours_are_written_as_people_write_them():
    found = read_own_colours("DNA: cyan; Lamin B1:#FF8800,, my_marker : red ")
    assert found == {
        "dna": "#00ffff",
        "nuclear_envelope": "#ff8800",
        "my_marker": "#ff0000",
    }
    assert Preferences(palette="classic", own_colours=found).colour("dna") == "#00ffff"
    assert (
        Preferences(palette="classic", own_colours=found).colour("nucleolus")
        == CLASSIC["nucleolus"]
    )
    assert read_own_colours("  ") == {}


@pytest.mark.parametrize("text", ["dna", "dna:", ": red", "dna: blurple", "dna=red"])
def test_what_is_no_colour_is_told(text):
    with pytest.raises(InputError, match="write for example dna: cyan"):
        read_own_colours(text)
