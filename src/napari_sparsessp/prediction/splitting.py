"""A network that goes on when a tile does not fit into its device's memory.

The tile is then predicted in parts, each with the halo that it needs and on the grid
of the network's stride, so that the result is the same. Where no part fits, the CPU
takes over.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_sparsessp.errors import OutOfMemory, PredictionError
from napari_sparsessp.models.library import Model
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.prediction.device import release_device_memory
from napari_sparsessp.prediction.forward import Forward
from napari_sparsessp.prediction.plan import Plan
from napari_sparsessp.prediction.stack import MeasuredStack
from napari_sparsessp.prediction.tile_size import USEFUL_CORE
from napari_sparsessp.prediction.tiling import Span, Tile, TileSize

if TYPE_CHECKING:
    import torch

SMALLEST_ON_GPU = 32
"""Pixels along a side of a part: of smaller ones nearly all is halo, and a CPU is as
fast."""


class Sturdy:
    """`Forward` that survives too little memory: smaller parts, then the CPU.

    Parameters
    ----------
    model : Model
    plan : Plan
    make : callable, optional
        What makes the `Forward` of a model and a plan.

    Raises
    ------
    InputError
        The device does not exist here.
    PredictionError
        The network fits nowhere.
    """

    def __init__(
        self,
        model: Model,
        plan: Plan,
        make: Callable[[Model, Plan], Forward] = Forward,
    ) -> None:
        self._model, self._plan, self._make = model, plan, make
        config = NetworkConfig.model_validate(plan.card.network)
        # Other windows would be another prediction: norms see all that a tile sees.
        self._splits = not config.sees_whole
        self._most: int | None = None  # pixels along a side of a part
        self._notes: dict[str, str] = {}
        self._forward: Forward | None = None
        with suppress(OutOfMemory):
            self._forward = make(model, plan)
        if self._forward is None:  # not inside: the error holds on to what failed
            self._move_to_cpu()

    @property
    def device(self) -> "torch.device":
        """Where the network is now."""
        return self._now.device

    @property
    def precision(self) -> str:
        """What it computes in now."""
        return self._now.precision

    @property
    def notes(self) -> tuple[str, ...]:
        """What had to be done because memory was too small, a sentence each."""
        return tuple(self._notes.values())

    def predict(
        self, stack: MeasuredStack, tile: Tile
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Predict what a tile keeps, as `Forward.predict`, in parts where need be.

        Raises
        ------
        PredictionError
            The device failed, or not even the smallest part fits the CPU's memory.
        """
        given: set[int] = set()
        while True:
            try:
                for rows, prediction in self._attempt(stack, tile):
                    if not given.issuperset(rows):
                        given.update(rows)
                        yield rows, prediction
                return
            except OutOfMemory as error:
                reason = str(error)
            # Only now are the tensors of the attempt gone: the error held them.
            gc.collect()
            release_device_memory()
            self._make_do(tile, reason)

    def close(self) -> None:
        """Let go of the network's copy, and of what torch keeps of a GPU's memory."""
        self._forward = None
        release_device_memory()

    @property
    def _now(self) -> Forward:
        assert self._forward is not None, "closed"
        return self._forward

    def _attempt(
        self, stack: MeasuredStack, tile: Tile
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        parts = [tile]
        if self._most is not None:
            parts = split_tile(tile, self._plan.tile_size, self._most)
        if len(parts) == 1:
            yield from self._now.predict(stack, tile)
            return
        whole: dict[tuple[int, ...], np.ndarray] = {}
        size = tuple(side.stop - side.start for side in tile.box)
        for part in parts:
            inside = tuple(
                slice(own.start - all_.start, own.stop - all_.start)
                for own, all_ in zip(part.box, tile.box, strict=True)
            )
            for rows, prediction in self._now.predict(stack, part):
                key = tuple(rows)
                if key not in whole:
                    whole[key] = np.empty((len(rows), *size), np.float32)
                whole[key][(slice(None), *inside)] = prediction
        for rows_, prediction in whole.items():
            yield list(rows_), prediction

    def _make_do(self, tile: Tile, reason: str) -> None:
        """Choose smaller parts, or another device.

        Raises
        ------
        PredictionError
            There is nothing left to try.
        """
        on_cpu = self.device.type == "cpu"
        stride = self._plan.tile_size.stride
        least = stride if on_cpu else max(stride, SMALLEST_ON_GPU)
        parts = [tile]
        if self._most is not None:
            parts = split_tile(tile, self._plan.tile_size, self._most)
        side = max(max(_extent(part.keep_y), _extent(part.keep_x)) for part in parts)
        if self._splits and side > least:
            self._most = max(least, -(-side // 2 // stride) * stride)
            y, x = _extent(tile.keep_y), _extent(tile.keep_x)
            name = "CPU" if on_cpu else "GPU"
            first = self._notes.get(name, "").partition("; ")[0] or (
                f"the {name}'s memory was too small for tiles of {y}×{x} pixels"
            )
            self._notes[name] = f"{first}; parts of {self._most} were used"
        elif on_cpu:
            raise PredictionError(
                f"{reason.partition('; ')[0]}, also with the smallest tiles; close "
                "other programs, or choose fewer structures or a smaller model"
            )
        else:
            self._move_to_cpu()

    def _move_to_cpu(self) -> None:
        """Go on where there is more memory; what was done stays."""
        self._forward = None
        gc.collect()
        release_device_memory()
        self._forward = self._make(self._model, self._cpu_plan())
        self._most = USEFUL_CORE["cpu"] if self._splits else None
        self._notes["moved"] = (
            "the GPU's memory was too small for this network; the CPU was used from "
            "then on"
        )

    def _cpu_plan(self) -> Plan:
        request = self._plan.request
        # Half precision of the 16-bit kind is a GPU's.
        precision = "auto" if request.precision == "fp16" else request.precision
        changes = {"device": "cpu", "precision": precision}
        return replace(self._plan, request=request.model_copy(update=changes))


def split_tile(tile: Tile, size: TileSize, most: int) -> list[Tile]:
    """Cut what a tile keeps into parts that see what they need of what it sees.

    Parameters
    ----------
    tile : Tile
    size : TileSize
        That cut it: stride and halo.
    most : int
        Pixels along a side of a part.

    Returns
    -------
    list of Tile
        Their boxes partition the tile's; what they see begins and ends on multiples of
        the stride.
    """
    rows = _parts(tile.keep_y, tile.read_y, size, most)
    columns = _parts(tile.keep_x, tile.read_x, size, most)
    return [
        replace(
            tile,
            keep_y=row[0],
            read_y=row[1],
            keep_x=column[0],
            read_x=column[1],
            core=(tile.core[0], row[0], column[0]),
        )
        for row, column in product(rows, columns)
    ]


def _parts(
    keep: Span, read: Span, size: TileSize, most: int
) -> list[tuple[Span, Span]]:
    """(keep, read) of parts of about equal length."""
    stride = size.stride
    count = -(-_extent(keep) // most)
    step = -(-_extent(keep) // count)
    parts = []
    for start in range(*keep, step):
        stop = min(start + step, keep[1])
        seen = (
            max(read[0], (start - size.halo) // stride * stride),
            min(read[1], -(-(stop + size.halo) // stride) * stride),
        )
        parts.append(((start, stop), seen))
    return parts


def _extent(span: Span) -> int:
    return span[1] - span[0]
