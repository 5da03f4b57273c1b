"""A prediction of noise that nobody sees: it loads what the first real one needs.

For a thread of its own: to load a model imports torch. A rehearsal that fails says
nothing: what is wrong, the prediction itself will tell.
"""

import math
import threading
import time as clock
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.models.library import Model
    from napari_sparsessp.prediction.plan import Plan

# Pixels of the patch that multiply-adds are counted for; only their ratio matters.
_PATCH = (64, 64)


@dataclass(frozen=True)
class Rehearsed:
    """What a rehearsal found out.

    Attributes
    ----------
    rate : float or None
        Seconds for each million voxels of one pass.
    costs : mapping
        Multiply-adds for each voxel of one pass, by model's id.
    """

    rate: float | None = None
    costs: Mapping[str, float] = field(default_factory=dict)


def rehearse(
    load: Callable[[], "Model"],
    plan: "Plan",
    cards: "Sequence[ModelCard]",
    stop: threading.Event,
) -> Rehearsed:
    """Load torch and the model, and predict two tiles of noise.

    The first makes torch compile its kernels, the second tells how fast it is.

    Parameters
    ----------
    load : callable
        Gives the model.
    plan : Plan
        Of what is going to be predicted.
    cards : sequence of ModelCard
        Models to count multiply-adds of.
    stop : threading.Event
        Once set, the rehearsal ends at the next chance.

    Returns
    -------
    Rehearsed
    """
    model = load()
    rate = None if stop.is_set() else _rate(model, plan, stop)
    return Rehearsed(rate, {} if stop.is_set() else _costs(cards, stop))


def _rate(model: "Model", plan: "Plan", stop: threading.Event) -> float | None:
    from napari_sparsessp.prediction.engine import Planned, TileDone, predict_stream

    request = plan.request.model_copy(
        update={
            "tta": False,
            "uncertainty": False,
            "truth": {},
            "channel": None,
            "time": None,
            "normalisation": (0.0, 1.0),
        }
    )
    noise, tile, marks = _noise(plan), 0.0, []
    for _ in range(2):  # a small stack may have one tile only
        events = predict_stream(model, noise, request=request, cancel=stop)
        for event in events:
            if isinstance(event, Planned):
                first = event.plan.tiles[0]
                tile = math.prod(
                    stop_ - start
                    for start, stop_ in (first.z, first.read_y, first.read_x)
                )
                marks.append(clock.perf_counter())
            if isinstance(event, TileDone):
                marks.append(clock.perf_counter())
                if len(marks) > 2:
                    events.close()  # type: ignore[attr-defined]
                    return (marks[-1] - marks[-2]) / tile * 1e6
        if stop.is_set():
            return None
    return None


def _noise(plan: "Plan") -> Volume:
    """Give a stack like the plan's, no wider than a tile reads, without its memory."""
    size = plan.tile_size
    volume = plan.volume
    sides = [
        min(have, math.ceil((core + 2 * (size.halo + size.fade)) * wanted / own))
        for have, core, wanted, own in zip(
            volume.shape[-2:],
            size.core,
            plan.model_pixel,
            plan.input_pixel,
            strict=True,
        )
    ]
    plane = np.random.default_rng(0).standard_normal(sides).astype(np.float32)
    stack = np.broadcast_to(plane, (volume.shape[-3], *sides))
    return Volume(
        stack, "ZYX", volume.voxel_size, name="noise", pixel_size=volume.pixel_size
    )


def _costs(cards: "Sequence[ModelCard]", stop: threading.Event) -> dict[str, float]:
    """Count multiply-adds for each voxel; of a model that is odd, nothing."""
    from napari_sparsessp.networks import NetworkConfig
    from napari_sparsessp.networks.cost import count_cost
    from napari_sparsessp.ui.widgets.card_text import is_pass_each

    found = {}
    for card in cards:
        if stop.is_set():
            break
        try:
            config = NetworkConfig.model_validate(card.network)
            structures = [0] if is_pass_each(card) else None
            cost = count_cost(config, structures, _PATCH)
        except Exception:  # an imported network that cannot be built
            continue
        voxels = config.planes * config.ratio * math.prod(_PATCH)
        found[card.id] = cost.multiply_adds / voxels
    return found
