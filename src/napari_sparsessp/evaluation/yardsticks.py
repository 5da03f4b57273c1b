"""Trivial predictors, scored like a model: what a score is worth beside them.

None of them is fitted to the truth. Those made of the transmitted light are brought to
mean 0 and deviation 1, the mean and the deviation of a z-scored truth, and their sign
is set beforehand: that is all they know. They see every plane of the stack, whatever
the model is given.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.metrics import score, zscore_truth
from napari_sparsessp.prediction.scoring import onto_grid
from napari_sparsessp.volume import Grid, Volume

WINDOW = 1.0
"""µm; standard deviation of the window for local smoothness: finer than a nucleus
(10 µm) and coarser than the speckle of bright-field. Not tuned on any truth."""

YARDSTICKS = {
    "plane_mean": (
        "mean intensity by plane",
        "each plane is the mean of the truth in the planes above and below it, never "
        "in itself: knows how brightness runs along z and nothing else",
    ),
    "smoothness": (
        "local smoothness",
        "minus the local standard deviation of the transmitted light (Gaussian window "
        f"of {WINDOW:g} µm), z-scored: bright where the image is smooth",
    ),
    "input": ("the input itself", "the transmitted light, z-scored"),
    "negative": ("its negative", "minus the transmitted light, z-scored"),
}
"""Label and what it knows, by name in the report."""


def score_fitted(prediction: Any, truth: Any) -> dict[str, Any]:
    """Score as the report does, and add ``r2_fitted``.

    Returns
    -------
    dict
        As `metrics.score`; ``r2_fitted`` is R² after the best straight line through
        prediction and truth, Pearson's squared: what would be left if only brightness
        and contrast were wrong. It knows two numbers of the truth; 0 where Pearson is
        negative, for a line that turns the prediction around is no help.
    """
    return with_fitted(score(prediction, truth))


def with_fitted(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Add ``r2_fitted`` to the scores of one structure; see `score_fitted`."""
    pcc = scores.get("pcc")
    return {**scores, "r2_fitted": None if pcc is None else max(0.0, pcc) ** 2}


def light_predictors(
    transmitted: Any, pixel: tuple[float, float]
) -> dict[str, np.ndarray]:
    """Make the trivial predictors out of the transmitted light.

    Parameters
    ----------
    transmitted : array-like
        (D, H, W) on the grid of the truth; planes of NaN stay so.
    pixel : tuple of float
        (y, x) in µm.

    Returns
    -------
    dict
        ``smoothness``, ``input``, ``negative``: (D, H, W) float32.

    Raises
    ------
    InputError
        The image is constant.
    """
    from scipy.ndimage import gaussian_filter

    sigma = [WINDOW / step for step in pixel]
    light = np.asarray(transmitted, np.float32)
    try:
        light = zscore_truth(light)
        rough = np.empty_like(light)
        for plane, result in zip(light, rough, strict=True):
            # Of a z-scored image: raw counts would lose their digits in the square.
            mean = gaussian_filter(plane, sigma)
            square = gaussian_filter(plane * plane, sigma)
            result[:] = np.sqrt(np.maximum(square - mean * mean, 0))
        smooth = zscore_truth(-rough)
    except InputError as error:
        raise InputError(
            "the transmitted light is constant, so no yardstick can be made of it; "
            "choose another channel"
        ) from error
    return {"smoothness": smooth, "input": light, "negative": -light}


def plane_mean(truth: Any) -> np.ndarray:
    """Give each plane the mean of its neighbours along z; never its own.

    Parameters
    ----------
    truth : array-like
        (D, H, W), z-scored; planes of NaN have no say.

    Returns
    -------
    ndarray
        (D, H, W) float32. A plane without neighbours is 0, the mean of the stack.
    """
    stack = np.asarray(truth, np.float32)
    means = np.array(
        [
            plane[np.isfinite(plane)].mean(dtype=np.float64)
            if np.isfinite(plane).any()
            else np.nan
            for plane in stack
        ]
    )
    result = np.zeros_like(stack)
    for index in range(len(stack)):
        beside = means[[i for i in (index - 1, index + 1) if 0 <= i < len(means)]]
        beside = beside[np.isfinite(beside)]
        if beside.size:
            result[index] = beside.mean()
    return result


def mean_of_others(truths: list[Any], index: int) -> np.ndarray:
    """Predict one image of a set by the mean of each plane over the others.

    Parameters
    ----------
    truths : list of array-like
        (D, H, W), all of one depth, each z-scored.
    index : int
        The image to predict; its own voxels are left out.

    Returns
    -------
    ndarray
        (D, H, W) float32, constant within each plane.

    Raises
    ------
    InputError
        There is no other image, or depths differ.
    """
    others = [truth for number, truth in enumerate(truths) if number != index]
    depths = {len(truth) for truth in truths}
    if not others or len(depths) > 1:
        raise InputError(
            "the mean by plane over other images needs at least two stacks of one "
            "depth; use plane_mean for a single one"
        )
    profile = np.mean([np.mean(truth, axis=(1, 2)) for truth in others], axis=0)
    shape = truths[index].shape
    return np.broadcast_to(profile[:, None, None], shape).astype(np.float32)


def score_yardsticks(
    transmitted: Volume, truths: Mapping[str, np.ndarray], grid: Grid
) -> dict[str, dict[str, dict[str, Any]]]:
    """Score every trivial predictor against every truth.

    Parameters
    ----------
    transmitted : Volume
        ZYX, all planes, with a voxel size.
    truths : mapping
        Structure id to (D, H, W) on the grid.
    grid : Grid

    Returns
    -------
    dict
        Structure id to yardstick to scores, with ``r2_fitted``.
    """
    predictors = light_predictors(onto_grid(transmitted, grid), grid.voxel_size[1:])
    result = {}
    for name, truth in truths.items():
        its = {"plane_mean": plane_mean(zscore_truth(truth)), **predictors}
        result[name] = {which: score_fitted(its[which], truth) for which in YARDSTICKS}
    return result
