"""The network on its device: one tile in, the structures of that tile out."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp.errors import OutOfMemory, PredictionError
from napari_sparsessp.models.library import Model
from napari_sparsessp.prediction.device import (
    choose_device,
    choose_precision,
    out_of_memory,
)
from napari_sparsessp.prediction.plan import Plan
from napari_sparsessp.prediction.stack import MeasuredStack
from napari_sparsessp.prediction.tiling import Tile
from napari_sparsessp.prediction.turns import TURNS, Spread

if TYPE_CHECKING:
    import torch


class Forward:
    """One model on one device, at one precision, for the structures of a plan.

    Parameters
    ----------
    model : Model
        Stays on the CPU as it is; another device gets a copy.
    plan : Plan

    Raises
    ------
    InputError
        The device does not exist here.
    PredictionError
        The network does not fit on it.
    """

    def __init__(self, model: Model, plan: Plan) -> None:
        self.device = choose_device(plan.request.device)
        self.precision = choose_precision(plan.request.precision, self.device)
        self._plan = plan
        self._names = model.card.structures
        self._outputs = [self._names.index(one) for one in plan.structures]
        request = plan.request
        self._turns = TURNS if request.tta or request.uncertainty else TURNS[:1]
        self._network: Any = model.network
        self._room: torch.Tensor | None = None
        if self.device.type != "cpu":
            import copy

            with _Advice():
                self._network = copy.deepcopy(model.network).to(self.device)
        merged = getattr(self._network, "merged", None)
        if merged is not None:
            merged.kept_bytes = plan.memory.merged

    def predict(
        self, stack: MeasuredStack, tile: Tile
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Predict what a tile keeps, one pass of the decoder after the other.

        Yields
        ------
        rows : list of int
            Which of the plan's channels these are: all, where one pass gives all;
            otherwise a structure, and its deviation where that is asked for.
        prediction : ndarray
            (C, D, H, W) float32 of ``tile.box``; NaN where only masked pixels count.
            The next tile may write over it.

        Raises
        ------
        PredictionError
            The device failed.
        """
        rows = list(range(len(self._outputs)))
        groups = [[row] for row in rows] if self._plan.passes > 1 else [rows]
        keep = (slice(None), *_kept(tile))
        alone = len(self._turns) == 1
        with self._computing():
            source = self._source(stack, tile)
            # Of eight turns the features together would fill eight times the memory.
            features = self._network.encode(source) if alone else None
        for group in groups:
            outputs = [self._outputs[row] for row in group]
            with self._computing():
                if alone:
                    values = self._network.decode(features, outputs)[0][keep]
                    values = self._in_float32(values)
                else:
                    values = self._turned(source, outputs, keep)
                prediction = values.cpu().numpy()
            _mark_invalid(prediction, stack, tile)
            spread = [len(rows) + row for row in group]
            yield group + spread * self._plan.request.uncertainty, prediction

    def _in_float32(self, values: "torch.Tensor") -> "torch.Tensor":
        """The same values in float32, in memory that the tile before had.

        Asking the system for a hundred megabytes for every tile takes longer than
        filling them.
        """
        import torch

        whole = self._plan.passes == 1 and values.device.type == "cpu"
        if values.dtype == torch.float32 or not whole:
            return values.float()
        if self._room is None or self._room.shape != values.shape:
            self._room = None  # the old one goes before the new one comes
            self._room = torch.empty(values.shape, dtype=torch.float32)
        return self._room.copy_(values)

    def _turned(
        self, source: "torch.Tensor", outputs: list[int], keep: tuple[slice, ...]
    ) -> "torch.Tensor":
        """Predict in all eight turns, one at a time: (C, D, H, W)."""
        import torch

        request = self._plan.request
        spread = Spread()
        untouched = None
        for turn in self._turns:
            turned = self._laid_out(turn.apply(source))
            values = self._network.decode(self._network.encode(turned), outputs)
            values = turn.undo(values)[0][keep].float()
            untouched = values if untouched is None else untouched
            spread.add(values)
        chosen = spread.mean if request.tta else untouched
        assert chosen is not None
        if not request.uncertainty:
            return chosen
        deviation = spread.deviation()
        for row, output in enumerate(outputs):
            calibration = self._plan.card.uncertainty.get(self._names[output])
            if calibration is not None:
                deviation[row] = calibration.expected_error(deviation[row])
        return torch.cat([chosen, deviation])

    def _source(self, stack: MeasuredStack, tile: Tile) -> "torch.Tensor":
        """What the network takes: (1, inputs, planes, h, w) on the device."""
        from napari_sparsessp.networks.layers import network_input

        config = self._network.config
        dense, distance = stack.window(tile)
        both = network_input(dense, distance)[: config.inputs, :: config.ratio]
        return self._laid_out(both[None].to(self.device))

    def _laid_out(self, source: "torch.Tensor") -> "torch.Tensor":
        """The same values in the order in memory that the device is fastest with."""
        import torch

        if self.device.type == "mps":  # there channels last is no faster layout
            return source.contiguous()
        return source.contiguous(memory_format=torch.channels_last_3d)

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """No gradients, the plan's precision, and errors that say what to do."""
        import torch

        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        # No disabled autocast: not every torch knows it for every device.
        cast = torch.autocast(self.device.type, dtype) if dtype else nullcontext()
        with _Advice(), torch.inference_mode(), cast:
            yield


def _kept(tile: Tile) -> tuple[slice, ...]:
    """Where ``tile.box`` lies in the network's output."""
    reads = (tile.z, tile.read_y, tile.read_x)
    return tuple(
        slice(part.start - read[0], part.stop - read[0])
        for part, read in zip(tile.box, reads, strict=True)
    )


def _mark_invalid(prediction: np.ndarray, stack: MeasuredStack, tile: Tile) -> None:
    """Set voxels to NaN whose nearest measured pixel is masked."""
    masked = stack.masked(tile)
    if masked is not None:
        prediction[:, masked] = np.nan


class _Advice:
    """Turn torch's RuntimeErrors into one line that says what to do."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Re-raise as our own error; napari swallows RuntimeErrors of workers."""
        if not isinstance(error, RuntimeError | MemoryError):
            return
        text = str(error).splitlines()[0] if str(error) else kind.__name__
        if out_of_memory(error):
            advice = "choose smaller tiles (--tile 32,128,128) or the CPU"
            raise OutOfMemory(f"the device failed ({text}); {advice}") from None
        advice = "choose another device or precision fp32"
        raise PredictionError(f"the device failed ({text}); {advice}") from None
