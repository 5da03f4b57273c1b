"""A model's card in words: what it costs, how it scored, what may be expected."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from napari_sparsessp.models.card import made_for
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.widgets.numbers import local, write_number

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard

TOPOLOGIES = {  # name and explanation
    "3d": ("3D", "sees and writes whole volumes: slow, most detail along z"),
    "2d": ("2D", "planes go through as channels: fastest, least aware of depth"),
    "2to3d": ("2D → 3D", "a flat encoder, a solid decoder: writes volumes"),
    "3to2d": (
        "3D → 2D",
        "a solid encoder sees depth, a flat decoder writes all planes at once: "
        "nearly the quality of 3D at a fraction of its time",
    ),
}

_CONDITIONING = {
    "multihead": "one output for each structure",
    "repmode": "RepMode, kernels of its own for each structure",
    "multinet": "one network for each structure",
    "dodnet": "DoDNet, a last layer made for each structure",
}
_MAPPING = {
    "prefix": "gaps between planes are filled before the network",
    "postfix": "gaps between planes are filled after the network",
    "none": "the network itself writes the planes in between",
}
_MEASURES = {
    "r2": "R²",
    "r2_fitted": "R² after refitting",
    "pcc": "PCC",
    "pcc_plane": "PCC in planes",
}


def repeated(card: "ModelCard") -> Literal["nothing", "decoder", "network"]:
    """Return what is computed again for each structure."""
    how, network = card.conditioning, card.network
    early = network.get("task_where", "decoder") != "decoder"
    if how in ("repmode", "multinet") or (how in ("condnet", "tgnet") and early):
        return "network"
    heads = how == "multihead" and network.get("heads") == "decoder"
    return "decoder" if heads or how in ("condnet", "tsn", "tgnet") else "nothing"


def is_pass_each(card: "ModelCard") -> bool:
    """Return whether each structure needs a pass through the whole network."""
    return repeated(card) == "network" and len(card.structures) > 1


def pass_count(card: "ModelCard", structures: Sequence[str]) -> int:
    """Count the passes through whole networks that these structures take."""
    if card.members:
        first = [
            next(one.id for one in card.members if name in one.structures)
            for name in structures
            if name in card.structures
        ]
        return len(set(first)) or 1
    return len(structures) if is_pass_each(card) else 1


def title_of(card: "ModelCard") -> str:
    """Write a model's name, and of how many models a bundle is."""
    count = len(card.members)
    return f"{card.name} · bundle of {count}" if count else card.name


def cost_words(card: "ModelCard") -> str:
    """Say what more structures cost; "" where there is only one."""
    many, networks = len(card.structures), len(card.members)
    if networks > 1:
        return (
            f"Its {networks} networks run one after the other and are in memory one at "
            "a time. Untick the structures that you do not need."
        )
    if many < 2:
        return ""
    return {
        "network": f"Each structure is a pass of its own: all {many} take {many} times "
        "as long as one. Untick those you do not need.",
        "decoder": "The encoder runs once for all structures, the decoder once for "
        "each: every structure more takes some time more.",
        "nothing": "All structures come out of one pass: many cost hardly more than "
        "one.",
    }[repeated(card)]


def ratios_text(ratios: Sequence[float]) -> str:
    """Write sparsity ratios, as ``r = 1, 2, 4, 8``."""
    return "r = " + ", ".join(map(write_number, ratios))


def r2_text(value: float) -> str:
    """Write an R² with a true minus sign."""
    return local(f"{value:.2f}".replace("-", "\u2212"))


def count_text(number: int) -> str:
    """Write a large number as ``124 million``."""
    for size, word in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if number >= 0.9995 * size:
            return f"{number / size:.3g} {word}"
    return str(number)


def structure_names(ids: Sequence[str]) -> str:
    """Write the labels of structures."""
    return ", ".join(structure_or_custom(id_).label for id_ in ids)


def card_rows(card: "ModelCard", sizes: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return title and plain text of all that a user may want to know of a model.

    `sizes` are those of a bundle's members, where they are known.
    """
    many = len(card.structures)
    size = "\u2009×\u2009".join(f"{value:g}" for value in card.voxel_size)
    label, what = TOPOLOGIES[card.topology]
    flat = card.z_projection != "none"
    title = f"{many} structures" if many > 1 else "Structure"
    rows = [
        (title, structure_names(card.structures)),
        ("Members", "\n".join(_member_lines(card, sizes))),
        ("Made for", f"{made_for(card) or card.modality}, {ratios_text(card.ratios)}"),
        ("Gives", "one plane for a whole stack: a projection over z" if flat else ""),
        ("Voxel grid", f"{size} µm (z, y, x)"),
        ("Normalisation", card.normalisation),
        ("Network", f"{label}: {what}.\n{_network(card)}"),
        ("Cost", cost_words(card)),
        ("Trained on", card.trained_on),
        ("Scores", "\n".join(score_lines(card.scores)) or "none given"),
        ("Limits", "\n".join(f"• {limit}" for limit in card.limits) or "none given"),
        ("Licence", card.licence),
        ("Cite", card.citation),
        ("Came from", _source(card.source)),
    ]
    return [(title, text) for title, text in rows if text]


def _member_lines(card: "ModelCard", sizes: Sequence[str]) -> list[str]:
    """Describe each member of a bundle in a line; what all share stands elsewhere."""
    alike = len({one.licence for one in card.members}) == 1
    lines = []
    for number, one in enumerate(card.members):
        names = structure_names(one.structures)
        parts = [
            one.name if names.lower() in one.name.lower() else f"{names}: {one.name}",
            one.modality if len(card.modalities) > 1 else "",
            sizes[number] if sizes else "",
            "" if alike and one.licence == card.licence else one.licence,
        ]
        lines.append(" · ".join(filter(None, parts)))
    return lines


def _network(card: "ModelCard") -> str:
    if card.members:
        return f"A network of its own in each of the {len(card.members)} members."
    gap = _MAPPING[card.mapping]
    if max(card.ratios) < 1.05:
        gap = "made for stacks without gaps"
    how = _CONDITIONING.get(card.conditioning, card.conditioning)
    text = gap if len(card.structures) < 2 else f"{how}; {gap}"
    return f"{text[0].upper()}{text[1:]}."


def _source(source: Mapping[str, Any]) -> str:
    name = source.get("file") or source.get("name") or ""
    return ", ".join(str(part) for part in (source.get("format"), name) if part)


def score_lines(scores: Mapping[str, Any]) -> list[str]:
    """Write the scores of a card; of values for each structure only the mean."""
    lines = []
    for images, entry in scores.items():
        if not isinstance(entry, Mapping):
            lines.append(f"{images}: {_value(entry)}")
            continue
        lines.append(f"{images}:")
        # with rows of several measures, such as {"r = 4": {"r2": …}}
        tables = {
            key: one
            for key, one in entry.items()
            if isinstance(one, Mapping)
            and any(isinstance(row, Mapping) for row in one.values())
        }
        parts = [_score(key, one) for key, one in entry.items() if key not in tables]
        if any("," in part for part in parts):
            lines += [f"   {part}" for part in parts]
        elif parts:
            lines.append("   " + " · ".join(parts))
        for key, table in tables.items():
            lines.append(f"   {key}:")
            for name, row in table.items():
                title = str(name).replace("_", " ")
                of_rows = isinstance(row, Mapping)
                text = f": {_values(row)}" if of_rows else f" {_value(row)}"
                lines.append(f"      {title}{text}")
    return lines


def _score(key: Any, entry: Any) -> str:
    """Write one entry, such as ``r2_at_4`` with values for each structure."""
    head, _, ratio = str(key).rpartition("at_")
    name = _measure(head.rstrip("_") if ratio.isdigit() else key)
    if isinstance(entry, Mapping):
        entry = entry.get("mean", entry)
    where = f"r = {ratio}" if ratio.isdigit() else ""
    values = _values(entry) if isinstance(entry, Mapping) else _value(entry)
    return " ".join(filter(None, [where, name, values]))


def _values(row: Mapping[Any, Any]) -> str:
    return ", ".join(f"{_measure(key)} {_value(one)}" for key, one in row.items())


def _measure(key: Any) -> str:
    return _MEASURES.get(key, str(key).replace("_", " "))


def _value(value: Any) -> str:
    return r2_text(value) if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Quality:
    """Expected R² of a structure, and the images that it was measured on."""

    r2: float
    measured_on: str
    cells: str = ""  # such as "real cells, held out"


def expected_quality(
    card: "ModelCard | None", structure: str, ratio: float | None
) -> Quality | None:
    """Return the R² in a card, between two ratios on a logarithmic scale, or None."""
    from napari_sparsessp.models.card import expected_quality as read

    if card is None or ratio is None or structure not in card.structures:
        return None
    table = read(card, structure)
    r2 = None if table is None else table.at(structure, max(ratio, 1.0))
    if table is None or r2 is None:
        return None
    return Quality(r2, table.measured_on, table.cells)


def mean_quality(
    card: "ModelCard | None", structures: Sequence[str], ratio: float | None
) -> Quality | None:
    """Return the mean over those structures of which the card says something.

    Where they were measured on cells of several kinds, of the kind of most of them.
    """
    each = [expected_quality(card, id_, ratio) for id_ in structures]
    known = [quality for quality in each if quality is not None]
    if not known:
        return None
    ((cells, _),) = Counter(one.cells for one in known).most_common(1)
    alike = [one for one in known if one.cells == cells]
    mean = sum(one.r2 for one in alike) / len(alike)
    return Quality(mean, alike[0].measured_on, cells)
