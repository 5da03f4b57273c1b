"""How large the errors of a new model are, on what was kept back, for its card.

``--uncertainty`` needs it to tell an error from a bare spread
(`napari_sparsessp.prediction.calibration`).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from napari_sparsessp.errors import SparseSSPError
from napari_sparsessp.models.card import Calibration
from napari_sparsessp.models.store import Model
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.prediction.uncertainty import fit_calibration
from napari_sparsessp.training.patches import Pair
from napari_sparsessp.volume import Volume

STACKS = 4
"""Are enough; each takes 16 passes of the network, at two sparsity ratios."""

FIELD = 128
"""Pixels of the middle of a stack that are looked at, at most, in y and in x."""

MOST, FEWEST = 50_000, 2_000
"""Voxels of a structure: no more of one prediction, no fewer of all."""


def calibrations(
    model: Model, pairs: Sequence[Pair], device: str, precision: str
) -> dict[str, Calibration]:
    """Fit the expected error of each structure that was kept back.

    Parameters
    ----------
    model : Model
        Without calibrations.
    pairs : sequence of Pair
        What the network did not learn from; `STACKS` of them are enough.
    device, precision : str
        As in `PredictionRequest`.

    Returns
    -------
    dict
        As `ModelCard.uncertainty`; no entry for what has too few voxels.
    """
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    for pair in pairs:
        for ratio in sorted({min(model.card.ratios), max(model.card.ratios)}):
            request = PredictionRequest(
                ratio=ratio,
                simulate_sparse=True,
                uncertainty=True,
                # It is on the scale of its whole stack already.
                normalisation=(0.0, 1.0),
                device=device,
                precision=precision,
            )
            try:
                for name, spread, error in _errors(model, pair, request):
                    found[name].append((spread, error))
            except SparseSSPError:
                continue  # never a reason to lose a model over
    fitted = {}
    for name, parts in found.items():
        spread, error = (np.concatenate(one) for one in zip(*parts, strict=True))
        if len(error) >= FEWEST:
            fitted[name] = fit_calibration(spread, error)
    return fitted


def _errors(
    model: Model, pair: Pair, request: PredictionRequest
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Each structure's spread and error in some voxels (n,) of the middle."""
    card = model.card
    flat = card.z_projection != "none"
    rows = [row for row, one in enumerate(pair.targets) if (len(one) == 1) == flat]
    names = [card.structures[pair.labels[row]] for row in rows]
    if not rows:
        return
    area = _middle(pair, None if flat else card.patch[0])
    light = Volume(pair.looks[0][area].astype(np.float32), "ZYX", card.voxel_size)
    asked = request.model_copy(update={"structures": tuple(names)})
    channels = predict(model, light, request=asked).volume.array
    for number, row in enumerate(rows):
        place = (slice(None), *area[1:]) if flat else area
        error = np.asarray(channels[number]) - pair.targets[row][place]
        mask = pair.masks[row] if pair.masks else None
        known = np.isfinite(error)
        if mask is not None:
            known &= np.broadcast_to(mask[_of(mask, place)] > 0, known.shape)
        spread = np.asarray(channels[len(rows) + number])
        step = max(1, int(known.sum()) // MOST)
        yield names[number], spread[known][::step], error[known][::step]


def _of(mask: np.ndarray, place: tuple[slice, ...]) -> tuple[slice, ...]:
    """The same field of a mask, which may be one plane for all."""
    return (slice(None), *place[1:]) if len(mask) == 1 else place


def _middle(pair: Pair, planes: int | None) -> tuple[slice, slice, slice]:
    depth, *size = pair.looks.shape[1:]
    limits = (depth if planes is None else planes, FIELD, FIELD)
    spans = []
    for extent, limit in zip((depth, *size), limits, strict=True):
        start = max(0, extent - limit) // 2
        spans.append(slice(start, start + min(extent, limit)))
    return spans[0], spans[1], spans[2]
