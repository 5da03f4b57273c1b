"""How good a model's card says that it is, by structure and sparsity ratio. Pure.

What is told is what was measured once, on images that the card names: other images may
well fare worse.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard

# A ratio this near to one that was measured counts as that one.
_NEAR = 1.05

_AT = re.compile(r"^(?:r2_at_|r = )?(\d+(?:\.\d+)?)$")


@dataclass(frozen=True)
class Quality:
    """What may be expected.

    Attributes
    ----------
    r2 : float
        Over all voxels, against the z-scored truth.
    measured_on : str
        What images it comes from, in the card's words.
    """

    r2: float
    measured_on: str


def expected_quality(
    card: "ModelCard | None", structure: str, ratio: float | None
) -> Quality | None:
    """Tell what R² a card promises.

    Parameters
    ----------
    card : ModelCard or None
    structure : str
        Id.
    ratio : float or None
        Sparsity ratio; between two that were measured the value is interpolated over
        the logarithm of the ratio.

    Returns
    -------
    Quality or None
        None where the card says nothing of this structure at such a ratio.
    """
    if card is None or ratio is None or structure not in card.structures:
        return None
    for where, values in _measured(card, structure):
        found = _at(values, max(ratio, 1.0))
        if found is not None:
            return Quality(found, where)
    return None


def mean_quality(
    card: "ModelCard | None", structures: Sequence[str], ratio: float | None
) -> Quality | None:
    """Give the mean over those structures of which the card says something."""
    found = [expected_quality(card, id_, ratio) for id_ in structures]
    known = [one for one in found if one is not None]
    if not known:
        return None
    return Quality(sum(one.r2 for one in known) / len(known), known[0].measured_on)


def r2_text(value: float) -> str:
    """Write an R² as people do, with a true minus sign."""
    return f"{value:.2f}".replace("-", "\u2212")


def _measured(
    card: "ModelCard", structure: str
) -> Iterator[tuple[str, dict[float, float]]]:
    """Give R² by ratio of each group of scores that has any for a structure."""
    for name, group in card.scores.items():
        if not isinstance(group, Mapping):
            continue
        where = str(group.get("on", name))
        values = _by_ratio(group, structure)
        nested = group.get("r2_by_structure_and_ratio")
        if isinstance(nested, Mapping) and isinstance(nested.get(structure), Mapping):
            values |= _by_ratio(nested[structure], structure)
        alike = group.get("r2 of model")
        if isinstance(alike, Mapping):  # measured at the ratio it was made for
            own = _number(alike.get(structure))
            values |= {} if own is None else dict.fromkeys(card.ratios, own)
        if not values and len(card.structures) == 1:
            inner = [one for one in group.values() if isinstance(one, Mapping)]
            values = next(filter(None, (_by_ratio(o, structure) for o in inner)), {})
        if values:
            yield where, values


def _by_ratio(group: Mapping[str, Any], structure: str) -> dict[float, float]:
    """Read ``r2_at_4: {dna: …}``, ``r = 4: {r2: …}`` and ``4: …``."""
    values = {}
    for key, found in group.items():
        at = _AT.match(str(key))
        if at is None:
            continue
        if isinstance(found, Mapping):
            found = found.get(structure, found.get("r2"))
        number = _number(found)
        if number is not None:
            values[float(at[1])] = number
    return values


def _number(found: Any) -> float | None:
    good = isinstance(found, int | float) and math.isfinite(found)
    return float(found) if good else None


def _at(values: Mapping[float, float], ratio: float) -> float | None:
    known = sorted(values)
    for one in known:
        if one / _NEAR <= ratio <= one * _NEAR:
            return values[one]
    below = [one for one in known if 0 < one < ratio]
    above = [one for one in known if one > ratio]
    if not below or not above:
        return None
    low, high = below[-1], above[0]
    share = math.log(ratio / low) / math.log(high / low)
    return values[low] + share * (values[high] - values[low])
