"""Means of scores over images and over structures, and the paper's Δ_Imp.

An image here is one stack of one structure, as in the paper's data sets: a field with
two labelled structures counts as two. The mean over images weighs a structure by how
many images it has (so the public code computes "All"); the mean over structures weighs
all structures alike (so the paper says). They differ where the counts do.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from napari_sparsessp.errors import InputError

FIELDS = ("r2", "mse", "mae", "pcc", "pcc_plane", "ssim")
"""Scores of the report that have a mean worth telling."""

LOWER_IS_BETTER = frozenset({"mse", "mae", "nrmse"})


@dataclass(frozen=True)
class Means:
    """Both means of one score.

    Attributes
    ----------
    over_images, over_structures : float or None
        None where nothing is defined.
    structures : dict
        Structure id to its mean over its images.
    counts : dict
        Structure id to how many images count.
    """

    over_images: float | None
    over_structures: float | None
    structures: dict[str, float]
    counts: dict[str, int]


def means(images: Iterable[tuple[str, float | None]]) -> Means:
    """Take both means of one score.

    Parameters
    ----------
    images : iterable of (str, float or None)
        Structure id and score of each image; None (not defined) is left out.

    Examples
    --------
    >>> both = means([("dna", 0.9), ("dna", 0.9), ("golgi_apparatus", 0.3)])
    >>> round(both.over_images, 3), round(both.over_structures, 3)
    (0.7, 0.6)
    """
    values: dict[str, list[float]] = {}
    for structure, value in images:
        if value is not None:
            values.setdefault(structure, []).append(float(value))
    structures = {name: _mean(some) for name, some in values.items()}
    everything = [value for some in values.values() for value in some]
    return Means(
        over_images=_mean(everything) if everything else None,
        over_structures=_mean(list(structures.values())) if structures else None,
        structures=structures,
        counts={name: len(some) for name, some in values.items()},
    )


def mean_fields(
    images: Sequence[Mapping[str, Mapping[str, Any]]],
) -> dict[str, dict[str, float | None]]:
    """Take both means of every score of some reports.

    Parameters
    ----------
    images : sequence of mapping
        Of each field of view: structure id to its scores, as a report has them;
        structures without scores are left out.

    Returns
    -------
    dict
        ``{"over_images": {"r2": …}, "over_structures": {"r2": …}}``.
    """
    result: dict[str, dict[str, float | None]] = {
        "over_images": {},
        "over_structures": {},
    }
    for field in FIELDS:
        both = means(
            (structure, scores.get(field))
            for image in images
            for structure, scores in image.items()
        )
        result["over_images"][field] = both.over_images
        result["over_structures"][field] = both.over_structures
    return result


def improvement(
    base: float, value: float, score: Literal["r2", "mse", "mae", "pcc"] | str
) -> float:
    """Give Δ_Imp in percent: how much better a score is than a baseline's.

    (M_base − M) / M_base for errors, (M − M_base) / M_base for the rest; the paper
    takes M over all images, with the dense Multi-Net as the baseline.

    Parameters
    ----------
    base, value : float
        Score of the baseline and of the model.
    score : str
        Which score; tells whether less is better.

    Raises
    ------
    InputError
        When the baseline is not above 0: a percentage of it means nothing.
    """
    if not base > 0:
        raise InputError(
            f"an improvement over a baseline of {base:g} has no percentage; "
            "compare the scores themselves"
        )
    gain = base - value if score in LOWER_IS_BETTER else value - base
    return 100 * gain / base


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
