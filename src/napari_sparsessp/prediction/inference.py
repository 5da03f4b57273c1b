"""Run the network: one tile in, the structures of that tile out.

A field has no up and no left, so a prediction should turn with its image: test-time
augmentation averages the eight symmetries of a square (``--tta``), and where they
differ the network is not sure (``--uncertainty``). A tile that does not fit into the
device's memory is predicted in parts, each with the halo that it needs and on the grid
of the network's stride, so that the result is the same; where no part fits, the CPU
takes over.

A network that attends to its whole stack looks at all tiles first, for sums that the
prediction of each tile then uses, so that tiles change nothing.
"""

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp.errors import OutOfMemory, PredictionError
from napari_sparsessp.models.library import Model
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.prediction.device import (
    choose_device,
    choose_precision,
    out_of_memory,
    release_device_memory,
)
from napari_sparsessp.prediction.input_stack import InputStack
from napari_sparsessp.prediction.memory import USEFUL_CORE
from napari_sparsessp.prediction.plan import Plan
from napari_sparsessp.prediction.tiling import (
    Tile,
    TileGrid,
    counted,
    inside,
    split_tile,
)
from napari_sparsessp.tasks import Cancelled

if TYPE_CHECKING:
    import torch

    from napari_sparsessp.networks.gvt import AttentionSums

    Sums = list[AttentionSums]  # for each turn

SMALLEST_ON_GPU = 32
"""Pixels along a side of a part: of smaller ones nearly all is halo, and a CPU is as
fast."""


@dataclass(frozen=True)
class DihedralTransform:
    """A mirror image or not, then quarter turns."""

    mirrored: bool  # Along x, before it is turned
    quarters: int  # Turns by 90° from y to x, 0 to 3

    def apply(self, field: "torch.Tensor") -> "torch.Tensor":
        """Turn the last two axes (…, H, W); a view where nothing changes."""
        turned = field.flip(-1) if self.mirrored else field
        return turned.rot90(self.quarters, (-2, -1)) if self.quarters else turned

    def undo(self, field: "torch.Tensor") -> "torch.Tensor":
        """Turn back what `apply` turned, exactly."""
        turned = field.rot90(-self.quarters, (-2, -1)) if self.quarters else field
        return turned.flip(-1) if self.mirrored else turned


TRANSFORMS = tuple(
    DihedralTransform(mirrored, n) for mirrored in (False, True) for n in range(4)
)
"""All eight; the first leaves the field as it is."""


class Forward:
    """One model on one device, at one precision, for the structures of a plan."""

    def __init__(self, model: Model, plan: Plan) -> None:
        import torch

        self.device = choose_device(plan.request.device)
        self.precision = choose_precision(
            plan.request.precision, self.device, plan.work.config
        )
        # On Apple's GPUs channels last is no faster layout.
        on_mps = self.device.type == "mps"
        self._layout = torch.contiguous_format if on_mps else torch.channels_last_3d
        self._plan = plan
        self._names = model.card.structures
        self._outputs = [self._names.index(name) for name in plan.structures]
        augmented = plan.request.tta or plan.request.uncertainty
        self._transforms = TRANSFORMS if augmented else TRANSFORMS[:1]
        self._network: Any = model.network
        self._room: torch.Tensor | None = None
        if self.device.type != "cpu":
            import copy

            with _advice():
                self._network = copy.deepcopy(model.network).to(self.device)
        merged = getattr(self._network, "merged", None)
        if merged is not None:
            merged.kept_bytes = plan.memory.merged

    def look(self, stack: InputStack, tile: Tile) -> "Sums":
        """Return a tile's share of the sums over the whole stack, for each turn."""
        import torch

        shape, config = self._plan.model_shape, self._network.config
        inside = torch.from_numpy(counted(tile, shape, config.stride)).to(self.device)
        with self._computing():
            source = self._source(stack, tile)
            return [
                self._network.whole_sums(turn.apply(source), turn.apply(inside))
                for turn in self._transforms
            ]

    def predict(
        self, stack: InputStack, tile: Tile, sums: "Sums | None" = None
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Predict what a tile keeps, one pass of the decoder after the other.

        Yields channels of the plan (all, or a structure and its deviation where each is
        a pass) and (C, D, H, W) float32 of ``tile.box``, NaN where only masked pixels
        count; the next tile may write over it. `sums` are those of `look` over all
        tiles, where there are several.
        """
        import torch

        rows = list(range(len(self._outputs)))
        groups = [[row] for row in rows] if self._plan.passes > 1 else [rows]
        reads = (tile.z, tile.read_y, tile.read_x)
        keep = (slice(None), *inside(tile.box, [slice(*read) for read in reads]))
        alone = len(self._transforms) == 1
        with self._computing():
            source = self._source(stack, tile)
            # Of eight turns the features together would fill eight times the memory.
            features = self._encode(source, sums) if alone else None
        for group in groups:
            outputs = [self._outputs[row] for row in group]
            with self._computing():
                if alone:
                    values = self._network.decode(features, outputs)[0][keep]
                else:
                    values = self._augmented(source, outputs, keep, sums)
                half = values.dtype != torch.float32 and values.device.type == "cpu"
                if half and len(groups) == 1:
                    # Asking the system for a hundred megabytes for every tile takes
                    # longer than filling them.
                    if self._room is None or self._room.shape != values.shape:
                        self._room = None  # the old one goes before the new one comes
                        self._room = torch.empty(values.shape, dtype=torch.float32)
                    values = self._room.copy_(values)
                prediction = values.float().cpu().numpy()
            masked = stack.masked(tile)
            if masked is not None:  # the nearest measured pixel is no number
                prediction[:, masked] = np.nan
            spread = [len(rows) + row for row in group]
            yield group + spread * self._plan.request.uncertainty, prediction

    def _source(self, stack: InputStack, tile: Tile) -> "torch.Tensor":
        """Return the network's input, (1, inputs, n, H, W)."""
        from napari_sparsessp.networks.layers import network_input

        config = self._network.config
        dense, distance = stack.window(tile)
        source = network_input(dense, distance)[: config.inputs, :: config.ratio]
        return source[None].to(self.device).contiguous(memory_format=self._layout)

    def _encode(
        self, source: "torch.Tensor", sums: "Sums | None", turn: int = 0
    ) -> Any:
        if sums is None:
            return self._network.encode(source)
        return self._network.encode(source, sums[turn])

    def _augmented(
        self,
        source: "torch.Tensor",
        outputs: list[int],
        keep: tuple[slice, ...],
        sums: "Sums | None",
    ) -> "torch.Tensor":
        """Predict in all eight turns, one at a time: (C, D, H, W)."""
        import torch

        request = self._plan.request
        untouched = mean = squares = torch.zeros(())
        for number, transform in enumerate(self._transforms):
            turned = transform.apply(source).contiguous(memory_format=self._layout)
            values = self._network.decode(self._encode(turned, sums, number), outputs)
            values = transform.undo(values)[0][keep].float()
            if not number:
                untouched, mean = values, values.clone()
                squares = torch.zeros_like(values)
                continue
            # Of two arrays' memory, however many come (Welford, Technometrics 4:419).
            offset = values - mean
            mean += offset / (number + 1)
            squares += offset * (values - mean)
        chosen = mean if request.tta else untouched
        if not request.uncertainty:
            return chosen
        deviation = (squares / len(self._transforms)).sqrt()
        for row, output in enumerate(outputs):
            calibration = self._plan.card.uncertainty.get(self._names[output])
            if calibration is not None:
                deviation[row] = calibration.expected_error(deviation[row])
        return torch.cat([chosen, deviation])

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """No gradients, the plan's precision, and errors that say what to do."""
        import torch

        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        # No disabled autocast: not every torch knows it for every device.
        cast = torch.autocast(self.device.type, dtype) if dtype else nullcontext()
        with _advice(), torch.inference_mode(), cast:
            yield


@contextmanager
def _advice() -> Iterator[None]:
    """Raise torch's RuntimeErrors as ours: napari swallows those of workers."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        if out_of_memory(error):
            advice = "choose smaller tiles (--tile 32,128,128) or the CPU"
            raise OutOfMemory(f"the device failed ({text}); {advice}") from None
        advice = "choose another device or precision fp32"
        raise PredictionError(f"the device failed ({text}); {advice}") from None


@dataclass(frozen=True)
class Look:
    """A tile more of the whole stack has been looked at."""

    done: int
    total: int
    sums: "Sums | None" = None  # Of all of them, with the last one


class Inference:
    """`Forward` that survives too little memory: smaller parts, then the CPU."""

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
        self._attends = config.attends
        self._sums: Sums | None = None  # of the stack, where it is several tiles
        self._most: int | None = None  # pixels along a side of a part
        self._notes: dict[str, str] = {}
        self._forward: Any = None
        with suppress(OutOfMemory):
            self._forward = make(model, plan)
        if self._forward is None:  # not inside: the error holds on to what failed
            self._move_to_cpu()

    @property
    def device(self) -> "torch.device":
        """The device that the network is on."""
        return self._forward.device  # type: ignore[no-any-return]

    @property
    def precision(self) -> str:
        """The precision that it computes in."""
        return str(self._forward.precision)

    @property
    def notes(self) -> tuple[str, ...]:
        """Fallbacks for too little memory, a sentence each."""
        return tuple(self._notes.values())

    def look(self, stack: InputStack, sums: "Sums | None" = None) -> Iterator["Look"]:
        """Look at the whole stack before its tiles, where the network needs it.

        `sums` are those that an earlier look at this stack gave.
        """
        self._sums = sums
        plan = self._plan
        # Cores partition the stack, whatever grid the output is on.
        grid = TileGrid(plan.model_shape, plan.tile_size, padding=plan.padding)
        alone = len(grid) == 1 and self._most is None
        if not self._attends or alone or sums is not None:
            return
        total: Sums = []
        for done, tile in enumerate(grid.tiles):
            yield Look(done, len(grid))
            for seen in self._seen(stack, tile):
                pairs = zip(total, seen, strict=True)
                total = [a + b for a, b in pairs] if total else seen
        self._sums = total
        yield Look(len(grid), len(grid), total)

    def _seen(self, stack: InputStack, tile: Tile) -> list["Sums"]:
        """Look at a tile, in parts where need be."""
        while True:
            parts = split_tile(tile, self._plan.tile_size, self._most)
            try:
                return [self._forward.look(stack, part) for part in parts]
            except OutOfMemory as error:
                reason = str(error)
            self._recover(tile, reason)

    def predict(
        self, stack: InputStack, tile: Tile
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Predict what a tile keeps, as `Forward.predict`, in parts where need be."""
        given: set[tuple[int, ...]] = set()
        while True:
            if self._most is not None and self._attends and self._sums is None:
                for _ in self.look(stack):  # the whole did not fit
                    pass
            parts = split_tile(tile, self._plan.tile_size, self._most)
            whole: dict[tuple[int, ...], np.ndarray] = {}
            more = () if self._sums is None else (self._sums,)
            try:
                for part in parts:
                    place = (slice(None), *inside(part.box, tile.box))
                    for rows, prediction in self._forward.predict(stack, part, *more):
                        key = tuple(rows)
                        if len(parts) == 1 and key not in given:
                            given.add(key)
                            yield rows, prediction
                        elif len(parts) > 1:
                            if key not in whole:
                                size = (side.stop - side.start for side in tile.box)
                                whole[key] = np.empty((len(rows), *size), np.float32)
                            whole[key][place] = prediction
                for key, prediction in whole.items():
                    if key not in given:
                        given.add(key)
                        yield list(key), prediction
                return
            except OutOfMemory as error:
                reason = str(error)
            self._recover(tile, reason)

    def close(self) -> None:
        """Release the network's copy, and GPU memory that torch keeps."""
        self._forward = None
        release_device_memory()

    def _recover(self, tile: Tile, reason: str) -> None:
        """Go on after a failure for want of memory."""
        # Only now are the tensors of the attempt gone: the error held them.
        gc.collect()
        release_device_memory()
        self._fall_back(tile, reason)

    def _fall_back(self, tile: Tile, reason: str) -> None:
        """Choose smaller parts, or another device."""
        on_cpu = self.device.type == "cpu"
        stride = self._plan.tile_size.stride
        least = stride if on_cpu else max(stride, SMALLEST_ON_GPU)
        parts = split_tile(tile, self._plan.tile_size, self._most)
        side = max(b - a for part in parts for a, b in (part.keep_y, part.keep_x))
        if self._splits and side > least:
            self._most = max(least, -(-side // 2 // stride) * stride)
            y, x = (stop - start for start, stop in (tile.keep_y, tile.keep_x))
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
        request = self._plan.request
        # Half precision of the 16-bit kind is a GPU's.
        precision = "auto" if request.precision == "fp16" else request.precision
        request = request.model_copy(update={"device": "cpu", "precision": precision})
        self._forward = self._make(self._model, replace(self._plan, request=request))
        self._most = USEFUL_CORE["cpu"] if self._splits else None
        self._notes["moved"] = (
            "the GPU's memory was too small for this network; the CPU was used from "
            "then on"
        )


@contextmanager
def cancellable_network(
    network: "torch.nn.Module", cancel: threading.Event | None
) -> Iterator[None]:
    """Let a run with this network end before its next layer once `cancel` is set.

    So does one with a copy of it for another device. A run that is given the same event
    then ends with `Cancelled`; without it, before its next tile.
    """
    if cancel is None:
        yield
        return

    # a function, which copies of the network share; a lock could not be copied
    def look(_module: Any, _arguments: Any) -> None:
        if cancel.is_set():
            raise Cancelled

    hooks = [module.register_forward_pre_hook(look) for module in network.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
