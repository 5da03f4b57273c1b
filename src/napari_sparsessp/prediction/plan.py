"""From a request to a plan: everything that can be known before a voxel is read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from napari_sparsessp.errors import InputError, ModelError
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
from napari_sparsessp.volume import Grid, Volume


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
        return output_channels(self.structures, self.request)

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
    """Check a request and cut out the work. Reads no pixel and needs no torch.

    Where torch is loaded, tiles are cut for the device and precision that it finds;
    otherwise for a CPU in fp32. A run plans once torch is there.

    Parameters
    ----------
    volume
        Up to TCZYX.
    truth
        Structure id to a volume (ZYX, or TZYX as the input).
    stored
        The voxels go to a sink, so that their size is none of memory's business.
    tile_size
        How to cut, where that is settled: by the run that is gone on with.

    Raises
    ------
    InputError
        The request cannot be met; says why and what to do.
    """
    volume = one_channel(volume, request.channel)
    structures = _structures(card, request)
    times = _times(volume, request.time)
    sampling = plan_sampling(card, volume, request)
    warnings = [*sampling.warnings]
    model_shape, grid = _grids(card, volume, request, sampling)
    if flat := card.z_projection != "none":
        grid = _one_plane(grid)
        warnings += _depth_notes(card, sampling.view.depth)
    if request.uncertainty:
        warnings += _deviation_notes(card, structures)
    channels = output_channels(structures, request)
    shape: tuple[int, ...] = (len(channels), *grid.shape)
    if times is not None:
        shape = (len(times), *shape)
    checked, notes = check_truth(
        truth or {}, structures, volume, sampling, grid, flat=flat
    )
    network = _network(card)
    work = _workload(
        network, request, sampling, volume, model_shape, shape, card.voxel_size[1:]
    )
    beside = flat or work.resize is not None or cross_fades(network)
    held = 4 * math.prod(shape) + 8 * len(checked) * math.prod(shape[-3:])
    # Columns are held on the model's grid beside an output that is another.
    held += 4 * shape[-4] * math.prod(model_shape) * beside
    work = replace(work, output_bytes=held, stored=stored)
    layout, memory = _cut(card, request, work, tile_size)
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
        passes=len(structures) if network.per_structure else 1,
        truth=checked,
        notes=(*warnings, *notes),
    )


def _workload(
    network: NetworkConfig,
    request: PredictionRequest,
    sampling: Sampling,
    volume: Volume,
    model_shape: tuple[int, int, int],
    output_shape: tuple[int, ...],
    model_pixel: tuple[float, float],
) -> Workload:
    """Collect what memory depends on, but the size of what is held of the result."""
    device = planned_device(request.device)
    planes, (height, width) = len(sampling.view.planes), volume.shape[-2:]
    resize = None
    if request.grid == "input":
        y, x = sampling.pixel
        resize = Resize((height, width), (y / model_pixel[0], x / model_pixel[1]))
    return Workload(
        network,
        model_shape,
        structures=output_shape[-4] // (1 + request.uncertainty),
        channels=output_shape[-4],
        turned=request.tta or request.uncertainty,
        precision=planned_precision(request.precision, device),
        device=device.partition(":")[0],
        input_bytes=4 * planes * (height * width + math.prod(model_shape[1:])),
        resize=resize,
    )


def fit_to_machine(
    plan: Plan, *, stored: bool = False, tile_size: TileSize | None = None
) -> Plan:
    """Cut a plan's tiles for this device and the memory that is free now."""
    device = planned_device(plan.request.device)
    work = replace(
        plan.work,
        device=device.partition(":")[0],
        precision=planned_precision(plan.request.precision, device),
        stored=stored,
    )
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
    depth, (height, width) = sampling.view.depth, volume.shape[-2:]
    pixel: tuple[float, float] = card.voxel_size[1:]
    model_size = (
        resampled_size(height, sampling.pixel[0], pixel[0]),
        resampled_size(width, sampling.pixel[1], pixel[1]),
    )
    size = model_size
    if request.grid == "input":
        pixel, size = sampling.pixel, (height, width)
    y, x = resampled_origin(volume.origin[1:], sampling.pixel, pixel)
    return (depth, *model_size), Grid(
        (depth, *size), (card.voxel_size[0], *pixel), (volume.origin[0], y, x)
    )


def output_channels(
    structures: tuple[str, ...], request: PredictionRequest
) -> tuple[str, ...]:
    """Name the output's channels: structures, then their deviations if asked for."""
    spread = structures if request.uncertainty else ()
    return (*structures, *(deviation_channel(one) for one in spread))


def _one_plane(grid: Grid) -> Grid:
    """One plane in the middle of a grid, as thick as all of them."""
    depth, height, width = grid.shape
    step, first = grid.voxel_size[0], grid.origin[0]
    return Grid(
        (1, height, width),
        (depth * step, *grid.voxel_size[1:]),
        (first + (depth - 1) / 2 * step, *grid.origin[1:]),
    )


def _depth_notes(card: ModelCard, depth: int) -> list[str]:
    """Warn of a stack of another depth than a model of projections learned from."""
    window = card.patch[0]
    if depth == window:
        return []
    return [
        f"the stack is {depth} planes deep on the model's grid and {card.id} learned "
        f"projections of {window}; expect less, or give {window} planes"
    ]


def _deviation_notes(card: ModelCard, structures: tuple[str, ...]) -> list[str]:
    """Warn of uncertainties that were never calibrated against true errors."""
    bare = [name for name in structures if name not in card.uncertainty]
    if not bare:
        return []
    return [
        f"the deviation of {', '.join(bare)} is the bare spread over eight turns: "
        f"{card.id} has no calibration for it, and true errors are several times "
        "larger; read it as more or less sure, not as an amount"
    ]


def one_channel(volume: Volume, channel: str | int | None) -> Volume:
    """Take the channel that is named, or the only one.

    Raises
    ------
    InputError
        There is no such channel, or several and none is named.
    """
    if channel is not None:
        return volume.channel(channel)
    if "C" not in volume.axes:
        return volume
    count = volume.sizes["C"]
    if count == 1:
        return volume.channel(0)
    names = volume.channel_names or ("",) * count
    listed = (
        f"{index} {name!r}" if name else str(index) for index, name in enumerate(names)
    )
    raise InputError(
        f"the image has {count} channels; choose the transmitted-light one by name or "
        f"index: {', '.join(listed)}"
    )


def _network(card: ModelCard) -> NetworkConfig:
    """Read the network's description, which is the card's author's word."""
    try:
        return NetworkConfig.model_validate(card.network)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "network"
        raise ModelError(
            f"model {card.id} describes a network that does not exist ({field}: "
            f"{first['msg'].removeprefix('Value error, ')}); get the file again"
        ) from error


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
