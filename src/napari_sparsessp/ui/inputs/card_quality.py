"""How good a model's card says that it is, by structure and sparsity ratio. Pure.

What is told is what was measured once, on images that the card names: other images may
well fare worse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard


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
    from napari_sparsessp.models.card import expected_quality as read

    if card is None or ratio is None or structure not in card.structures:
        return None
    told = read(card)
    found = None if told is None else told.at(structure, max(ratio, 1.0))
    return None if told is None or found is None else Quality(found, told.measured_on)


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
