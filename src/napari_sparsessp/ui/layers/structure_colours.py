"""Choose the colours of the structures: safe for every eye, classic, or your own."""

from collections.abc import Mapping

from qtpy.QtGui import QColor

from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import find_structure, structure_or_custom

CLASSIC: dict[str, str] = {
    "actin_filament": "#ff40ff",
    "actomyosin_bundle": "#c070ff",
    "cell_membrane": "#ff3838",
    "desmosome": "#ff9080",
    "dna": "#4d7dff",
    "endoplasmic_reticulum": "#ff9a1f",
    "golgi_apparatus": "#ffff40",
    "microtubule": "#20e0e0",
    "mitochondria": "#30e040",
    "nuclear_envelope": "#40b0ff",
    "nucleolus": "#ffc0e0",
    "tight_junction": "#b0ff40",
}
"""Colours as stains are often shown: blue nuclei, green mitochondria, red membranes.

Some of them look alike to colour-blind eyes; the catalogue's own do not.
"""


def read_own_colours(text: str) -> dict[str, str]:
    """Read colours as people write them.

    Parameters
    ----------
    text : str
        Such as ``"dna: cyan, nucleolus: #ff8800"``: a structure by any of its names
        or a model's own id, and a colour by its English name or as ``#rrggbb``.

    Returns
    -------
    dict
        Structure id to ``"#rrggbb"``.

    Raises
    ------
    InputError
        A part of it is no structure and colour.
    """
    found = {}
    for part in text.replace(";", ",").split(","):
        if not part.strip():
            continue
        name, _, wanted = (piece.strip() for piece in part.partition(":"))
        colour = QColor(wanted)
        if not name or not wanted or not colour.isValid():
            raise InputError(
                f"{part.strip()[:60]!r} is no structure with its colour; "
                "write for example dna: cyan, nucleolus: #ff8800"
            )
        found[_structure_id(name)] = colour.name()
    return found


def colour_in(palette: str, own: Mapping[str, str], structure: str) -> str:
    """Give a structure's colour.

    Parameters
    ----------
    palette : {"safe", "classic"}
    own : mapping
        What the user chose, by structure id.
    structure : str
        Id; a model's own ones and deviations have colours too.

    Returns
    -------
    str
        ``"#rrggbb"``.
    """
    if structure in own:
        return own[structure]
    if palette == "classic" and structure in CLASSIC:
        return CLASSIC[structure]
    return structure_or_custom(structure).colour


def _structure_id(name: str) -> str:
    """Find the catalogue's id; anything else is a model's own."""
    try:
        return find_structure(name).id
    except InputError:
        return name
