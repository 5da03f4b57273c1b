"""The catalogue of subcellular structures: names, proteins, cell lines and colours.

The twelve of the paper (Zheng et al. 2024, after Ounkomol et al. 2018), each with the
name that the published code gives to its data set. A model may bring others.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from napari_sparsessp.errors import InputError


@dataclass(frozen=True)
class Structure:
    """One subcellular structure that a model can predict."""

    id: str  # In files, requests and reports, for example ``"nuclear_envelope"``
    label: str  # For people, for example ``"Nuclear envelope"``
    protein: str  # The tagged protein or the dye; empty where it is not known
    cell_line: str  # Of the Allen Cell Collection; empty where there is none
    dataset: str  # The published data set, for example ``"lamin_b1"``; empty for others
    colour: str  # ``"#rrggbb"``, bright enough for additive display on black


# Id, protein, cell line, data set and colour. Colours: greedy search for the largest
# smallest CIEDE2000 distance over normal, protanope and deuteranope vision (Machado et
# al. 2009) at a lightness above 48; every pair keeps at least 14 in each
# (tests/test_structures.py measures it).
_ROWS = (
    ("actin_filament", "beta-actin", "AICS-16", "beta_actin", "#dfffbf"),
    ("actomyosin_bundle", "non-muscle myosin IIB", "AICS-24", "myosin_iib", "#9fbf9f"),
    ("cell_membrane", "CAAX", "AICS-54", "membrane_caax_63x", "#bfffff"),
    ("desmosome", "desmoplakin", "AICS-17", "desmoplakin", "#608000"),
    ("dna", "Hoechst", "", "dna", "#00bfff"),
    ("endoplasmic_reticulum", "Sec61 beta", "AICS-10", "sec61_beta", "#bf20ff"),
    ("golgi_apparatus", "sialyltransferase 1", "AICS-25", "st6gal1", "#bfbf00"),
    ("microtubule", "alpha-tubulin", "AICS-12", "alpha_tubulin", "#60bfbf"),
    ("mitochondria", "Tom20", "AICS-11", "tom20", "#ff4060"),
    ("nuclear_envelope", "lamin B1", "AICS-13", "lamin_b1", "#df0080"),
    ("nucleolus", "fibrillarin", "AICS-14", "fibrillarin", "#ffff20"),
    ("tight_junction", "ZO-1", "AICS-23", "zo1", "#60809f"),
)


def _label(name: str) -> str:
    words = name.replace("_", " ").strip()
    return "DNA" if name == "dna" else words[:1].upper() + words[1:]


CATALOGUE: dict[str, Structure] = {
    row[0]: Structure(row[0], _label(row[0]), *row[1:]) for row in _ROWS
}
"""Structure by id, in alphabetical order of the ids."""

_OTHERS = {
    extra.id: extra
    for extra in (
        Structure("dapi", "DAPI", "DAPI", "", "", "#00bfff"),
        Structure("map2", "MAP2", "MAP2", "", "", "#bfbf00"),
        Structure("nfh", "NFH", "neurofilament heavy chain", "", "", "#df0080"),
    )
}
"""Outputs of shipped models outside the catalogue, with three of its colours."""

_DEVIATION = "_std"
_SPREAD_WORDS = frozenset({"std", "deviation", "uncertainty"})
"""Words of a channel that shows how unsure a structure is, not where it is."""

_GREY = "#b0b0b0"
"""Of deviations: they are no structure, and must not look like one."""

# What microscopists write beside or instead of the names above. Words of a channel
# name are compared, never fragments, so that "Tom" does not match "bottom".
_ALIASES: dict[str, tuple[str, ...]] = {
    "actin_filament": ("actin", "f actin", "phalloidin", "lifeact", "actb"),
    "actomyosin_bundle": ("myosin", "actomyosin", "myosin 2b", "myh10"),
    "cell_membrane": ("membrane", "plasma membrane", "cellmask", "wga"),
    "desmosome": ("desmosomes", "dsp"),
    "dna": ("dapi", "nucblue", "hoechst 33342", "draq5", "h2b", "nuclei", "nucleus"),
    "endoplasmic_reticulum": ("er", "sec61", "sec61b", "calnexin", "er tracker"),
    "golgi_apparatus": ("golgi", "gm130", "st6"),
    "microtubule": ("microtubules", "tubulin", "tuba1b", "sir tubulin"),
    "mitochondria": ("mitochondrion", "mito", "tomm20", "mitotracker", "cox iv"),
    "nuclear_envelope": ("lamin", "lmnb1", "nuclear membrane", "nuclear lamina"),
    "nucleolus": ("nucleoli", "fbl"),
    "tight_junction": ("tight junctions", "tjp1"),
}


def _words(name: str) -> str:
    """Return `name` in lower case with single spaces between its words."""
    return " ".join(re.findall(r"[a-z0-9]+", name.lower()))


def _kin(structure: Structure) -> list[Structure]:
    """Return a structure, and the catalogue's structure that its name means."""
    if structure.id in CATALOGUE:
        return [structure]
    name = _words(structure.id)  # such as "dapi", which is a stain of DNA
    return [
        structure,
        *(other for other in CATALOGUE.values() if name in _names(other)),
    ]


def _names(structure: Structure) -> tuple[str, ...]:
    """Return every word form that means `structure`, the most specific first."""
    named = (structure.id, structure.label, structure.dataset, structure.protein)
    forms = [_words(name) for name in (*named, *_ALIASES.get(structure.id, ()))]
    return tuple(dict.fromkeys(form for form in forms if form))


def find_structure(name: str) -> Structure:
    """Find a catalogue structure by id, label, data set, protein or a common name.

    In any case, with spaces, hyphens or underscores, or none at all. InputError lists
    the structures that exist.
    """
    wanted = _words(name).replace(" ", "")
    for structure in CATALOGUE.values():
        if wanted in (form.replace(" ", "") for form in _names(structure)):
            return structure
    raise InputError(f"no structure is called {name!r}; known: {', '.join(CATALOGUE)}")


def structure_id(name: str) -> str:
    """Return the catalogue's id for any name of a structure, other names unchanged."""
    try:
        return find_structure(name).id
    except InputError:
        return name


def deviation_channel(structure: str) -> str:
    """Name the channel that holds a structure's standard deviation."""
    return structure + _DEVIATION


def structure_or_custom(name: str) -> Structure:
    """Return the catalogue's structure, or make a structure for a model's own id.

    The label is made from the id; the colour is of the catalogue, the same everywhere
    for the same id, and grey for the deviation of a structure (``dna_std``).
    """
    known = CATALOGUE.get(name) or _OTHERS.get(name)
    if known is not None:
        return known
    if name.endswith(_DEVIATION):
        of = structure_or_custom(name.removesuffix(_DEVIATION))
        return Structure(name, f"{of.label}, deviation", "", "", "", _GREY)
    *_, colour = _ROWS[zlib.crc32(name.encode()) % len(_ROWS)]
    return Structure(name, _label(name), "", "", "", colour)


def colours_of(names: Iterable[str]) -> list[str]:
    """Return the colour of each structure, as ``"#rrggbb"``."""
    return [structure_or_custom(name).colour for name in names]


def match_channel(structure: Structure | str, names: Iterable[str]) -> int | None:
    """Find the channel whose name, such as ``"Hoechst 33342"``, means `structure`.

    A name that is exactly one of the structure's goes before a name that only contains
    it. None where no name, or more than one, fits.
    """
    if isinstance(structure, str):
        structure = structure_or_custom(structure)
    kin = _kin(structure)
    forms = list(dict.fromkeys(form for member in kin for form in _names(member)))
    channels = [_words(name) for name in names]
    for form in forms:
        if form in channels:
            return channels.index(form)
    # Words that belong to a longer name of another structure ("nuclear membrane" for
    # the cell membrane) must not count.
    foreign = [
        form
        for other in CATALOGUE.values()
        if other not in kin
        for form in _names(other)
    ]
    hits = [
        index
        for index, channel in enumerate(channels)
        for form in forms
        if f" {form} " in f" {channel} "
        and not _SPREAD_WORDS.intersection(channel.split())
        and not any(
            f" {form} " in f" {longer} " and f" {longer} " in f" {channel} "
            for longer in foreign
        )
    ]
    unique = sorted(set(hits))
    return unique[0] if len(unique) == 1 else None
