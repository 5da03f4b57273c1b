"""How well a model scored, structure by structure, as its card tells it.

Cards are written by several programs, each in its own words; this reads all of them.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_sparsessp.models.card import ModelCard

# A ratio this near to one that was measured counts as that one.
_NEAR = 1.05


@dataclass(frozen=True)
class Quality:
    """R² that a model reached.

    Attributes
    ----------
    measured_on : str
        The images, in words.
    r2 : mapping
        Structure id to sparsity ratio to R² over all voxels.
    """

    measured_on: str
    r2: Mapping[str, Mapping[float, float]] = field(default_factory=dict)

    @property
    def ratios(self) -> tuple[float, ...]:
        """All ratios that were measured, in order."""
        return tuple(sorted({ratio for row in self.r2.values() for ratio in row}))

    def at(self, structure: str, ratio: float) -> float | None:
        """Give R² of a structure at a ratio.

        Parameters
        ----------
        structure : str
        ratio : float
            Between two that were measured, R² is interpolated over its logarithm.

        Returns
        -------
        float or None
            None where nothing was measured on both sides.
        """
        row = self.r2.get(structure, {})
        known = sorted(row)
        for one in known:
            if one / _NEAR <= ratio <= one * _NEAR:
                return row[one]
        below = [one for one in known if one < ratio]
        above = [one for one in known if one > ratio]
        if not below or not above:
            return None
        low, high = below[-1], above[0]
        share = math.log(ratio / low) / math.log(high / low)
        return row[low] + share * (row[high] - row[low])

    def mean(self, ratio: float) -> float | None:
        """Give the mean over the structures of which something is known there."""
        values = [self.at(structure, ratio) for structure in self.r2]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None


def expected_quality(card: ModelCard) -> Quality | None:
    """Read the scores of a card.

    Parameters
    ----------
    card : ModelCard

    Returns
    -------
    Quality or None
        None where the card tells of no R² for its structures.
    """
    for title, found in card.scores.items():
        if not isinstance(found, Mapping):
            continue
        on = str(found.get("on", title))
        for read in (_by_ratio, _of_training, _of_split, _of_one_ratio):
            rows = read(found, card)
            if rows:
                return Quality(on, rows)
    return None


_Rows = dict[str, dict[float, float]]


def _by_ratio(found: Mapping[str, Any], card: ModelCard) -> _Rows:
    """``r2_at_4: {structure: R²}``, as the measurement of the shipped models writes."""
    rows: _Rows = {}
    for key, values in found.items():
        match = re.fullmatch(r"r2_at_(\d+(?:\.\d+)?)", key)
        if match and isinstance(values, Mapping):
            for structure in card.structures:
                _put(rows, structure, float(match.group(1)), values.get(structure))
    return rows


def _of_training(found: Mapping[str, Any], card: ModelCard) -> _Rows:
    """``r2_by_structure_and_ratio``, as a training writes."""
    rows: _Rows = {}
    table = found.get("r2_by_structure_and_ratio")
    for structure in card.structures if isinstance(table, Mapping) else ():
        values = table.get(structure)  # type: ignore[union-attr]
        for ratio, value in values.items() if isinstance(values, Mapping) else ():
            _put(rows, structure, _number(ratio), value)
    return rows


def _of_split(found: Mapping[str, Any], card: ModelCard) -> _Rows:
    """``fine-tuned: {"r = 4": {"r2": …}}`` of a model with one structure."""
    rows: _Rows = {}
    table = found.get("fine-tuned")
    if len(card.structures) > 1 or not isinstance(table, Mapping):
        return rows
    for key, values in table.items():
        match = re.fullmatch(r"r = (\d+(?:\.\d+)?)", key)
        if match and isinstance(values, Mapping):
            _put(rows, card.structures[0], float(match.group(1)), values.get("r2"))
    return rows


def _of_one_ratio(found: Mapping[str, Any], card: ModelCard) -> _Rows:
    """``r2 of model: {structure: R²}`` of a model for one ratio."""
    rows: _Rows = {}
    values = found.get("r2 of model")
    if len(card.ratios) == 1 and isinstance(values, Mapping):
        for structure in card.structures:
            _put(rows, structure, card.ratios[0], values.get(structure))
    return rows


def _put(rows: _Rows, structure: str, ratio: float | None, value: Any) -> None:
    number = _number(value)
    if ratio and number is not None:
        rows.setdefault(structure, {})[ratio] = number


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
