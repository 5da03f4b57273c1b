"""Scores of a prediction that lies in a store."""

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp.metrics import score
from napari_sparsessp.prediction.truth import align_truth

if TYPE_CHECKING:
    from napari_sparsessp.prediction.plan import Plan


def score_stored(
    plan: "Plan", stored: Any
) -> tuple[dict[int, dict[str, dict[str, Any]]], list[str]]:
    """Score every structure that has a truth, one after the other.

    Parameters
    ----------
    plan : Plan
    stored : array-like
        Of the plan's output shape.

    Returns
    -------
    scores : dict
        Place on the output's time axis to structure id to its scores.
    notes : list of str
        What was left out.
    """
    scores: dict[int, dict[str, dict[str, Any]]] = {}
    for slot in range(len(plan.times or (0,))):
        time = plan.times[slot] if plan.times else None
        lead = (slot,) if plan.times else ()
        scores[slot] = {}
        for name, truth in align_truth(plan, time).items():
            place = (*lead, plan.structures.index(name))
            scores[slot][name] = score(np.asarray(stored[place]), truth)
    return scores, []
