"""What a deviation is worth: for which structures it was calibrated, and by a truth."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp.metrics import score
from napari_sparsessp.structures import deviation_channel

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.prediction.plan import Plan


def deviation_notes(card: "ModelCard", structures: tuple[str, ...]) -> list[str]:
    """Say which structures' deviations were never held against true errors.

    Parameters
    ----------
    card : ModelCard
    structures : tuple of str
        Whose deviations are asked for.
    """
    bare = [name for name in structures if name not in card.uncertainty]
    if not bare:
        return []
    return [
        f"the deviation of {', '.join(bare)} is the bare spread over eight turns: "
        f"{card.id} has no calibration for it, and true errors are several times "
        "larger; read it as more or less sure, not as an amount"
    ]


def channel_scores(
    plan: "Plan",
    channel: Callable[[int], np.ndarray],
    structure: str,
    truth: np.ndarray,
) -> dict[str, Any]:
    """Score a structure, and its deviation where there is one.

    Parameters
    ----------
    plan : Plan
    channel : callable
        Gives the voxels (D, H, W) of one of the plan's channels by its number.
    structure : str
    truth : ndarray
        (D, H, W), z-scored; NaN does not count.

    Returns
    -------
    dict
        As `metrics.score`; with a deviation also ``within_std``, the share of voxels
        whose error is below it (0.683 were it right and errors normal), and
        ``error_over_std``, root mean square error over root mean square deviation.
    """
    predicted = channel(plan.channels.index(structure))
    scores = score(predicted, truth)
    if not plan.request.uncertainty:
        return scores
    deviation = channel(plan.channels.index(deviation_channel(structure)))
    return scores | deviation_scores(predicted, deviation, truth)


def deviation_scores(
    predicted: np.ndarray, deviation: np.ndarray, truth: np.ndarray
) -> dict[str, float | None]:
    """Hold a deviation against the true error, plane by plane to save memory."""
    below = count = 0
    errors = deviations = 0.0
    for one, expected, true in zip(predicted, deviation, truth, strict=True):
        error = np.abs(one - true)
        known = np.isfinite(error) & np.isfinite(expected)
        count += int(known.sum())
        below += int((error[known] <= expected[known]).sum())
        errors += float(np.square(error[known], dtype=np.float64).sum())
        deviations += float(np.square(expected[known], dtype=np.float64).sum())
    return {
        "within_std": below / count if count else None,
        "error_over_std": (errors / deviations) ** 0.5 if deviations else None,
    }
