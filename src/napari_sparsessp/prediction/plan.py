"""From a request to a plan: everything that can be known before a voxel is read."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from napari_sparsessp.errors import InputError, ModelError, invalid_field
from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.prediction.device import planned_device, planned_precision
from napari_sparsessp.prediction.memory import (
    MemoryPlan,
    Workload,
    choose_tile,
    cross_fades,
    find_limits,
    tile_notes,
    tile_sizes,
)
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.prediction.sampling import Sampling, plan_sampling
from napari_sparsessp.prediction.scoring import check_truth
from napari_sparsessp.prediction.tiling import Box, Resize, Tile, TileGrid, TileSize
from napari_sparsessp.resampling import resampled_origin, resampled_size
from napari_sparsessp.sparse import SparseView
from napari_sparsessp.structures import deviation_channel, find_structure
from napari_sparsessp.volume import Grid, Volume, listed_names


@dataclass(frozen=True, eq=False)
class Plan:
    """All of a prediction that is known before a voxel is read."""

    request: PredictionRequest
    card: ModelCard
    volume: Volume  # ZYX or TZYX, one channel
    structures: tuple[str, ...]  # In the order of the output's first channels
    view: SparseView
    # (y, x) in µm, known or assumed, of the input and of the model's grid
    input_pixel: tuple[float, float]
    model_pixel: tuple[float, float]
    model_shape: tuple[int, int, int]  # (D, H, W) on the model's grid
    # ((T,) C, D, H, W) of the buffer, C = ``len(channels)``
    output_shape: tuple[int, ...]
    output_axes: str  # ``CZYX`` or ``TCZYX``
    # Of the output: (z, y, x) shape, voxel size and origin in µm. A projection is one
    # plane as thick as the stack, in its middle
    grid: Grid
    layout: TileGrid  # How each time point is cut into tiles
    memory: MemoryPlan  # What it will take
    work: Workload  # What that follows from
    times: tuple[int, ...] | None  # Time points of the input; None without a T axis
    passes: int = 1  # How often the network, or its decoder, runs for a tile
    # Structure id to its ground truth
    truth: dict[str, Volume] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # What was assumed, and what is unusual

    @property
    def warnings(self) -> tuple[str, ...]:
        """All to know before the numbers are used."""
        tiles = tile_notes(self.card, self.work.config, self.request, self.tile_size)
        return (*self.notes, *tiles)

    @property
    def channels(self) -> tuple[str, ...]:
        """Of the output: the structures, then the deviation of each where asked for."""
        spread = self.structures if self.request.uncertainty else ()
        return (*self.structures, *map(deviation_channel, spread))

    @property
    def tile_size(self) -> TileSize:
        """How tiles are cut."""
        return self.layout.size

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """Tiles of each time point."""
        return self.layout.tiles

    @property
    def voxel_size(self) -> tuple[float, float, float]:
        """(z, y, x) of the output in µm."""
        return self.grid.voxel_size

    @property
    def origin(self) -> tuple[float, float, float]:
        """(z, y, x) of the centre of the output's voxel 0 in µm."""
        return self.grid.origin

    @property
    def total_tiles(self) -> int:
        """Tiles over all time points and passes."""
        return len(self.layout) * len(self.times or (0,)) * self.passes

    def on_model_grid(self, box: Box) -> Box:
        """Return the voxels of the model's grid that a box of the output is from."""
        spans = []
        for part, model, output in zip(
            box, self.model_shape, self.output_shape[-3:], strict=True
        ):
            factor = model / output
            # Pixels between those of the model are interpolated.
            reach = math.ceil(factor) + 1 if self.request.grid == "input" else 0
            start, stop = int(part.start * factor), math.ceil(part.stop * factor)
            spans.append(slice(start - reach, stop + reach))
        z, y, x = spans
        return z, y, x


def plan_prediction(
    card: ModelCard,
    volume: Volume,
    request: PredictionRequest,
    truth: Mapping[str, Volume] | None = None,
    *,
    stored: bool = False,
    tile_size: TileSize | None = None,
) -> Plan:
    """Check a request and cut out the work; reads no pixel and needs no torch.

    Where torch is loaded, tiles are cut for the device and precision that it finds;
    otherwise for a CPU in fp32. InputError says why a request cannot be met.

    Parameters
    ----------
    stored
        The voxels go to a file, so that they take no memory.
    tile_size
        Tiling of the run that is resumed.
    """
    volume = one_channel(volume, request.channel)
    structures, times = _structures(card, request), _times(volume, request.time)
    sampling = plan_sampling(card, volume, request)
    model_shape, grid = _grids(card, volume, request, sampling)
    channels = len(structures) * (1 + request.uncertainty)
    shape = (*(() if times is None else (len(times),)), channels, *grid.shape)
    flat = card.z_projection != "none"
    checked, aligned = check_truth(
        truth or {}, structures, volume, sampling, grid, times, flat=flat
    )
    work = _workload(card, request, sampling, volume, model_shape, shape, len(checked))
    work = _on_device(work, request, stored)
    layout, memory = _cut(card, request, work, tile_size)
    notes = [*sampling.warnings, *_notes(card, request, structures, model_shape[0])]
    if checked and card.units == "iqr":
        notes.append(
            f"{card.id} predicts interquartile ranges above the median: each truth's "
            "own median and range bring that to its units before it is scored"
        )
    return Plan(
        request=request,
        card=card,
        volume=volume,
        structures=structures,
        view=sampling.view,
        input_pixel=sampling.pixel,
        model_pixel=card.voxel_size[1:],
        model_shape=model_shape,
        output_shape=shape,
        output_axes="CZYX" if times is None else "TCZYX",
        grid=grid,
        layout=layout,
        memory=memory,
        work=work,
        times=times,
        passes=len(structures) if work.config.per_structure else 1,
        truth=checked,
        notes=(*notes, *aligned),
    )


def _workload(
    card: ModelCard,
    request: PredictionRequest,
    sampling: Sampling,
    volume: Volume,
    model_shape: tuple[int, int, int],
    output_shape: tuple[int, ...],
    truths: int,
) -> Workload:
    """Collect what memory depends on, but the device."""
    try:
        network = NetworkConfig.model_validate(card.network)
    except ValidationError as error:
        where, why = invalid_field(error)
        raise ModelError(
            f"model {card.id} describes a network that does not exist "
            f"({where or 'network'}: {why}); get the file again"
        ) from error
    planes, (height, width) = len(sampling.view.planes), volume.shape[-2:]
    resize = None
    if request.grid == "input":
        own, model = sampling.pixel, card.voxel_size[1:]
        resize = Resize((height, width), (own[0] / model[0], own[1] / model[1]))
    channels = output_shape[-4]
    held = 4 * math.prod(output_shape) + 8 * truths * math.prod(output_shape[-3:])
    if card.z_projection != "none" or resize is not None or cross_fades(network):
        # Columns are held on the model's grid beside an output that is another.
        held += 4 * channels * math.prod(model_shape)
    return Workload(
        network,
        model_shape,
        structures=channels // (1 + request.uncertainty),
        channels=channels,
        turned=request.tta or request.uncertainty,
        input_bytes=4 * planes * (height * width + math.prod(model_shape[1:])),
        output_bytes=held,
        resize=resize,
    )


def _on_device(work: Workload, request: PredictionRequest, stored: bool) -> Workload:
    """Complete a workload by the device and precision that a run would take now."""
    device = planned_device(request.device)
    precision = planned_precision(request.precision, device)
    kind = device.partition(":")[0]
    return replace(work, device=kind, precision=precision, stored=stored)


def fit_to_machine(
    plan: Plan, *, stored: bool = False, tile_size: TileSize | None = None
) -> Plan:
    """Cut a plan's tiles for this device and the memory that is free now."""
    work = _on_device(plan.work, plan.request, stored)
    if tile_size is None and work == plan.work:
        return plan
    layout, memory = _cut(plan.card, plan.request, work, tile_size)
    return replace(plan, work=work, layout=layout, memory=memory)


def _cut(
    card: ModelCard,
    request: PredictionRequest,
    work: Workload,
    tile_size: TileSize | None,
) -> tuple[TileGrid, MemoryPlan]:
    sizes = tile_sizes(card, work.config, request, work.device)
    limits = find_limits(planned_device(request.device), request.memory_limit)
    size, memory = choose_tile(work, [tile_size] if tile_size else sizes, limits)
    return TileGrid(work.shape, size, work.resize), memory


def _grids(
    card: ModelCard, volume: Volume, request: PredictionRequest, sampling: Sampling
) -> tuple[tuple[int, int, int], Grid]:
    """Voxels of the model's grid, and the grid of the output."""
    depth, own = sampling.view.depth, sampling.pixel
    step, pixel = card.voxel_size[0], card.voxel_size[1:]
    height, width = volume.shape[-2:]
    y, x = map(resampled_size, (height, width), own, pixel)
    shape, size = (depth, y, x), (y, x)
    if request.grid == "input":
        pixel, size = own, (height, width)
    top, left = resampled_origin(volume.origin[1:], own, pixel)
    z = volume.origin[0]
    if card.z_projection != "none":
        # One plane in the middle of the stack, as thick as all of it.
        depth, step, z = 1, depth * step, z + (depth - 1) / 2 * step
    return shape, Grid((depth, *size), (step, *pixel), (z, top, left))


def _notes(
    card: ModelCard,
    request: PredictionRequest,
    structures: tuple[str, ...],
    depth: int,
) -> Iterator[str]:
    """Warn of a depth that projections were not learned from, and of raw spreads."""
    window = card.patch[0]
    if card.z_projection != "none" and depth != window:
        yield (
            f"the stack is {depth} planes deep on the model's grid and {card.id} "
            f"learned projections of {window}; expect less, or give {window} planes"
        )
    bare = [name for name in structures if name not in card.uncertainty]
    if request.uncertainty and bare:
        yield (
            f"the deviation of {', '.join(bare)} is the bare spread over 8 rotations "
            f"and flips: {card.id} has no calibration for it, and true errors are "
            "several times larger; read it as more or less sure, not as an amount"
        )


def one_channel(volume: Volume, channel: str | int | None) -> Volume:
    """Take the channel that is named, or the only one; InputError lists several."""
    if channel is not None:
        return volume.channel(channel)
    if "C" not in volume.axes:
        return volume
    count = volume.sizes["C"]
    if count == 1:
        return volume.channel(0)
    raise InputError(
        f"the image has {count} channels; choose the transmitted-light one by name or "
        f"index: {listed_names(volume.channel_names, count)}"
    )


def _structures(card: ModelCard, request: PredictionRequest) -> tuple[str, ...]:
    if request.structures == "all":
        return card.structures
    chosen = []
    for name in request.structures:
        structure = name if name in card.structures else find_structure(name).id
        if structure not in card.structures:
            raise InputError(
                f"model {card.id} does not predict {structure}; it knows: "
                f"{', '.join(card.structures)}"
            )
        if structure not in chosen:
            chosen.append(structure)
    if not chosen:
        raise InputError(
            f"name at least one structure of: {', '.join(card.structures)}"
        )
    return tuple(chosen)


def _times(volume: Volume, wanted: str | None) -> tuple[int, ...] | None:
    if "T" not in volume.axes:
        if wanted not in (None, "0", ":", "0:1"):
            raise InputError("the image has no time axis; leave the time out")
        return None
    count = volume.sizes["T"]
    if wanted is None:
        return tuple(range(count))
    try:
        parts = [int(part) if part.strip() else None for part in wanted.split(":")]
        chosen = range(count)[slice(*parts)] if len(parts) > 1 else [parts[0]]
    except (TypeError, ValueError):
        chosen = []
    times = tuple(t for t in chosen if t is not None and -count <= t < count)
    if not times or len(times) != len(chosen):
        raise InputError(
            f"time {wanted!r} does not fit the {count} time points; "
            "give an index or a slice such as 0:3"
        )
    return tuple(t % count for t in times)
