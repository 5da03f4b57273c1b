"""What a card says, in the words of the interface. Pure: no Qt, no file."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from napari_sparsessp.structures import structure_or_custom

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard

TOPOLOGIES = {
    "3d": ("3D", "sees and writes whole volumes: slow, most detail along z"),
    "2d": ("2D", "planes go through as channels: fastest, least aware of depth"),
    "2to3d": ("2D → 3D", "a flat encoder, a solid decoder: writes volumes"),
    "3to2d": (
        "3D → 2D",
        "a solid encoder sees depth, a flat decoder writes all planes at once: "
        "nearly the quality of 3D at a fraction of its time",
    ),
}
"""Name and explanation of each topology."""

_WHOLE = ("repmode", "multinet")
_DECODER = ("condnet", "tsn", "tgnet")


def repeated(card: "ModelCard") -> Literal["nothing", "decoder", "network"]:
    """Tell what has to be computed again for each structure."""
    how, network = card.conditioning, card.network
    told_early = network.get("task_where", "decoder") != "decoder"
    if how in _WHOLE or (how in ("condnet", "tgnet") and told_early):
        return "network"
    if how in _DECODER or (how == "multihead" and network.get("heads") == "decoder"):
        return "decoder"
    return "nothing"


def is_pass_each(card: "ModelCard") -> bool:
    """Tell whether each structure needs a pass through the whole network."""
    return repeated(card) == "network" and len(card.structures) > 1


def cost_words(card: "ModelCard") -> str:
    """Say what more structures cost; "" where there is only one."""
    many = len(card.structures)
    if many < 2:
        return ""
    if repeated(card) == "network":
        return (
            f"Each structure is a pass of its own: all {many} take {many} times as "
            "long as one. Untick those you do not need."
        )
    if repeated(card) == "decoder":
        return (
            "The encoder runs once for all structures, the decoder once for each: "
            "every structure more takes some time more."
        )
    return "All structures come out of one pass: many cost hardly more than one."


def ratios_text(ratios: Sequence[float]) -> str:
    """Write sparsity ratios, as ``r = 1, 2, 4, 8``."""
    return "r = " + ", ".join(f"{ratio:g}" for ratio in ratios)


def short_duration(seconds: float) -> str:
    """Write a time in as few letters as will do."""
    if seconds < 0.95:
        return "< 1 s"
    if seconds < 90:
        return f"{round(seconds)} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def count_text(number: int) -> str:
    """Write a large number as people say it: ``124 million``."""
    for size, word in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if number >= 0.9995 * size:
            return f"{number / size:.3g} {word}"
    return str(number)


def structure_names(ids: Sequence[str]) -> str:
    """Write the labels of structures."""
    return ", ".join(structure_or_custom(id_).label for id_ in ids)


def card_rows(card: "ModelCard") -> list[tuple[str, str]]:
    """Write all that a user may want to know of a model.

    Parameters
    ----------
    card : ModelCard

    Returns
    -------
    list of (title, text)
        Plain text; several lines where there are several things to say.
    """
    many = len(card.structures)
    size = "\u2009×\u2009".join(f"{value:g}" for value in card.voxel_size)
    label, what = TOPOLOGIES[card.topology]
    rows = [
        (f"{many} structures" if many > 1 else "Structure", _names(card)),
        ("Made for", f"{card.modality}, {ratios_text(card.ratios)}"),
        ("Gives", _given(card)),
        ("Voxel grid", f"{size} µm (z, y, x)"),
        ("Normalisation", card.normalisation),
        ("Network", f"{label}: {what}.\n{_kind(card)}"),
        ("Cost", cost_words(card)),
        ("Trained on", card.trained_on),
        ("Scores", "\n".join(score_lines(card.scores)) or "none given"),
        ("Limits", "\n".join(f"• {limit}" for limit in card.limits) or "none given"),
        ("Licence", card.licence),
        ("Cite", card.citation),
        ("Came from", _source(getattr(card, "source", None))),
    ]
    return [(title, text) for title, text in rows if text]


def score_lines(scores: Mapping[str, Any]) -> list[str]:
    """Write the scores of a card, grouped by what they were measured on.

    Of values for each structure only the mean is told.
    """
    lines = []
    for what, found in scores.items():
        if not isinstance(found, Mapping):
            lines.append(f"{what}: {_value(found)}")
            continue
        tables = {key: one for key, one in found.items() if _is_table(one)}
        parts = [
            _score(str(key), one) for key, one in found.items() if key not in tables
        ]
        short = all("," not in part for part in parts)
        lines.append(f"{what}:")
        if parts:
            lines += (
                ["   " + " · ".join(parts)] if short else [f"   {p}" for p in parts]
            )
        for key, table in tables.items():
            lines.append(f"   {key}:")
            lines += [f"      {_row(str(name), row)}" for name, row in table.items()]
    return lines


def _is_table(found: Any) -> bool:
    """Whether it has rows of several measures, such as ``{"r = 4": {"r2": …}}``."""
    return isinstance(found, Mapping) and any(
        isinstance(row, Mapping) for row in found.values()
    )


def _row(name: str, row: Any) -> str:
    if not isinstance(row, Mapping):
        return f"{name.replace('_', ' ')} {_value(row)}"
    told = ", ".join(f"{_measure(str(key))} {_value(one)}" for key, one in row.items())
    return f"{name.replace('_', ' ')}: {told}"


def _names(card: "ModelCard") -> str:
    return structure_names(card.structures)


def _given(card: "ModelCard") -> str:
    """Say what comes out where it is no stack."""
    if getattr(card, "z_projection", "none") == "none":
        return ""
    return "one plane for a whole stack: a projection over z"


def _kind(card: "ModelCard") -> str:
    how = {
        "multihead": "one output for each structure",
        "repmode": "RepMode, kernels of its own for each structure",
        "multinet": "one network for each structure",
        "dodnet": "DoDNet, a last layer made for each structure",
    }.get(card.conditioning, card.conditioning)
    gap = {
        "prefix": "gaps between planes are filled before the network",
        "postfix": "gaps between planes are filled after the network",
        "none": "the network itself writes the planes in between",
    }[card.mapping]
    if max(card.ratios) < 1.05:
        gap = "made for stacks without gaps"
    told = gap if len(card.structures) < 2 else f"{how}; {gap}"
    return f"{told[0].upper()}{told[1:]}."


def _source(source: Any) -> str:
    """Say where an imported model came from."""
    if not isinstance(source, Mapping):
        return ""
    name = source.get("file") or source.get("name") or ""
    return ", ".join(str(part) for part in (source.get("format"), name) if part)


def _score(key: str, found: Any) -> str:
    """Write one entry, such as ``r2_at_4`` with values for each structure."""
    head, _, ratio = key.rpartition("at_")
    name = _measure(head.rstrip("_")) if ratio.isdigit() else _measure(key)
    if isinstance(found, Mapping):
        found = found.get("mean", found)
    if isinstance(found, Mapping):
        told = ", ".join(f"{_measure(str(k))} {_value(v)}" for k, v in found.items())
    else:
        told = f"{name} {_value(found)}".strip()
        name = ""
    where = f"r = {ratio}" if ratio.isdigit() else ""
    return " ".join(part for part in (where, name, told) if part)


def _measure(key: str) -> str:
    return {
        "r2": "R²",
        "r2_fitted": "R² after refitting",
        "pcc": "PCC",
        "pcc_plane": "PCC in planes",
    }.get(key, key.replace("_", " "))


def _value(found: Any) -> str:
    if isinstance(found, float):
        return f"{found:.2f}".replace("-", "\u2212")
    return str(found)
