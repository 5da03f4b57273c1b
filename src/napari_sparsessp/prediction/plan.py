"""From a request to a plan: everything that can be known before a voxel is read."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from napari_sparsessp.errors import InputError, ModelError, invalid_field
from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.networks.config import Padding
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
from napari_sparsessp.prediction.modality import is_same_light, light_named
from napari_sparsessp.prediction.phase_stack import (
    PhaseArray,
    check_unused,
    phase_volume,
    wants_phase,
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
    # Of a bundle: the plan of each member that is needed, in the order of the run.
    # Layout, memory and work are those of the one that needs most
    members: tuple["Plan", ...] = ()

    @property
    def parts(self) -> tuple["Plan", ...]:
        """Plans of the networks that run: a bundle's members, or this plan itself."""
        return self.members or (self,)

    @property
    def warnings(self) -> tuple[str, ...]:
        """All to know before the numbers are used."""
        rows = []
        for part in self.parts:
            work, size = part.work, part.tile_size
            notes = tile_notes(part.card, work.config, part.request, size, work.shape)
            rows.append((part.card, notes))
        return (*self.notes, *merge_notes(rows, self.card))

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
    def tile_sizes(self) -> tuple[TileSize, ...]:
        """How tiles are cut for each of `parts`."""
        return tuple(part.tile_size for part in self.parts)

    @property
    def padding(self) -> Padding:
        """How the network wants a stack padded."""
        return self.work.config.padding

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """Tiles of each time point."""
        return tuple(tile for part in self.parts for tile in part.layout.tiles)

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
        rounds = len(self.times or (0,))
        return rounds * sum(len(part.layout) * part.passes for part in self.parts)

    @property
    def voxels(self) -> int:
        """Voxels that go through networks, margins included, over all `total_tiles`."""
        read = sum(
            part.passes
            * (tile.z[1] - tile.z[0])
            * (tile.read_y[1] - tile.read_y[0])
            * (tile.read_x[1] - tile.read_x[0])
            for part in self.parts
            for tile in part.layout.tiles
        )
        return read * len(self.times or (0,))

    def rows_of(self, member: "Plan") -> tuple[int, ...]:
        """Return which of the output's channels are a member's."""
        return tuple(self.channels.index(name) for name in member.channels)

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
    tile_size: Sequence[TileSize] = (),
) -> Plan:
    """Check a request and cut out the work; reads no pixel and needs no torch.

    Where torch is loaded, tiles are cut for the device and precision that it finds;
    otherwise for a CPU in fp32. InputError says why a request cannot be met.

    Parameters
    ----------
    stored
        The voxels go to a file, so that they take no memory.
    tile_size
        Tiling of the run that is resumed: `Plan.tile_sizes`.
    """
    if card.members:
        plan = _plan_bundle(card, volume, request, truth or {}, stored, tile_size)
    else:
        plan = _plan_one(card, volume, request, truth, stored, tile_size)
    spread = _spread_notes(card, request, plan.structures)
    return replace(plan, notes=(*plan.notes, *spread))


def _plan_one(
    card: ModelCard,
    volume: Volume,
    request: PredictionRequest,
    truth: Mapping[str, Volume] | None,
    stored: bool,
    tile_size: Sequence[TileSize],
    beside: int = 0,
) -> Plan:
    """Plan for a single network; `beside` are bytes of what else is in memory."""
    volume = one_channel(volume, request.channel)
    structures, times = _structures(card, request), time_points(volume, request.time)
    sampling = plan_sampling(card, volume, request)
    volume, made = _reconstructed(card, volume, request, sampling)
    model_shape, grid = _grids(card, volume, request, sampling)
    channels = len(structures) * (1 + request.uncertainty)
    shape = (*(() if times is None else (len(times),)), channels, *grid.shape)
    flat = card.z_projection != "none"
    checked, aligned = check_truth(
        truth or {}, structures, volume, sampling, grid, times, flat=flat
    )
    work = _workload(card, request, sampling, volume, model_shape, shape, len(checked))
    work = replace(work, output_bytes=work.output_bytes + beside)
    work = _on_device(work, request, stored)
    layout, memory = _cut(card, request, work, tile_size)
    notes = [*sampling.warnings, *made, *_notes(card, model_shape[0], bool(checked))]
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


def _reconstructed(
    card: ModelCard, volume: Volume, request: PredictionRequest, sampling: Sampling
) -> tuple[Volume, list[str]]:
    """Return the volume that is predicted from, and what there is to know of it."""
    check_unused(request)
    if request.reconstruct is None:
        named = [name for name in volume.channel_names if "bright" in name.lower()]
        return volume, [
            f"model {card.id} learned from {card.modality}, and the channel is called "
            f"{name!r}: make phase of it first (--reconstruct phase)"
            for name in named
            if wants_phase(card)
        ]
    phase, notes = phase_volume(volume, request, sampling.view.planes)
    if not wants_phase(card):
        notes.append(
            f"model {card.id} learned from {card.modality}, not from phase: what it "
            "predicts from phase means nothing; leave the reconstruction out"
        )
    return phase, notes


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
    if network.window_step is not None and model_shape[0] < network.depth:
        raise InputError(
            f"the stack is {model_shape[0]} planes deep on the model's grid, and "
            f"{card.id} takes windows of {network.depth}; image more planes, or check "
            "the voxel size"
        )
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
        prepared=volume.array.bytes if isinstance(volume.array, PhaseArray) else 0,
        input_bytes=4 * planes * (height * width + math.prod(model_shape[1:])),
        output_bytes=held,
        resize=resize,
    )


def _on_device(work: Workload, request: PredictionRequest, stored: bool) -> Workload:
    """Complete a workload by the device and precision that a run would take now."""
    device = planned_device(request.device)
    precision = planned_precision(request.precision, device, work.config)
    kind = device.partition(":")[0]
    return replace(work, device=kind, precision=precision, stored=stored)


def fit_to_machine(
    plan: Plan, *, stored: bool = False, tile_size: Sequence[TileSize] = ()
) -> Plan:
    """Cut a plan's tiles for this device and the memory that is free now."""
    if plan.members:
        parts = [
            fit_to_machine(part, stored=stored, tile_size=tile_size[k : k + 1])
            for k, part in enumerate(plan.members)
        ]
        return _joined(plan, parts)
    work = _on_device(plan.work, plan.request, stored)
    if not tile_size and work == plan.work:
        return plan
    layout, memory = _cut(plan.card, plan.request, work, tile_size)
    return replace(plan, work=work, layout=layout, memory=memory)


def _cut(
    card: ModelCard,
    request: PredictionRequest,
    work: Workload,
    tile_size: Sequence[TileSize],
) -> tuple[TileGrid, MemoryPlan]:
    sizes = tile_sizes(card, work.config, request, work.shape, work.device)
    limits = find_limits(planned_device(request.device), request.memory_limit)
    size, memory = choose_tile(work, tile_size or sizes, limits)
    return TileGrid(work.shape, size, work.resize, work.config.padding), memory


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


def _notes(card: ModelCard, depth: int, scored: bool) -> Iterator[str]:
    """Warn of units, and of a depth that projections were not learned from."""
    if scored and card.units == "iqr":
        yield (
            f"{card.id} predicts interquartile ranges above the median: each truth's "
            "own median and range bring that to its units before it is scored"
        )
    window = card.patch[0]
    if card.z_projection != "none" and depth != window:
        yield (
            f"the stack is {depth} planes deep on the model's grid and {card.id} "
            f"learned projections of {window}; expect less, or give {window} planes"
        )


def _spread_notes(
    card: ModelCard, request: PredictionRequest, structures: tuple[str, ...]
) -> Iterator[str]:
    """Warn of raw spreads."""
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


def time_points(volume: Volume, wanted: str | None) -> tuple[int, ...] | None:
    """Return the time points that a request's slice names; None without a T axis."""
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


# Bundles ------------------------------------------------------------------------------


def _plan_bundle(
    card: ModelCard,
    volume: Volume,
    request: PredictionRequest,
    truth: Mapping[str, Volume],
    stored: bool,
    tile_size: Sequence[TileSize],
) -> Plan:
    """Plan each member that is needed, and join the plans."""
    one, structures = one_channel(volume, request.channel), _structures(card, request)
    sampling, times = plan_sampling(card, one, request), time_points(one, request.time)
    grid, parts = _grids(card, one, request, sampling)[1], []
    channel = 4 * math.prod(grid.shape) * len(times or (0,)) * (1 + request.uncertainty)
    for number, (member, names) in enumerate(_members_for(card, structures, one)):
        # What no member predicts is refused with the first.
        own = {name for name in truth if name in names or name not in structures}
        fields = {
            "structures": names,
            "truth": {k: v for k, v in request.truth.items() if k in own},
        }
        parts.append(
            _plan_one(
                member,
                volume,
                request.model_copy(update=fields),
                {name: truth[name] for name in truth if name in own},
                stored,
                tile_size[number : number + 1],
                channel * (len(structures) - len(names)),
            )
        )
    lead = parts[0].output_shape[:-4]
    channels = len(structures) * (1 + request.uncertainty)
    plan = replace(
        parts[0],
        request=request,
        card=card,
        structures=structures,
        output_shape=(*lead, channels, *grid.shape),
        truth={name: part.truth[name] for part in parts for name in part.truth},
        notes=merge_notes([(part.card, part.notes) for part in parts], card),
    )
    return _joined(plan, parts)


def _members_for(
    card: ModelCard, structures: Sequence[str], volume: Volume
) -> list[tuple[ModelCard, tuple[str, ...]]]:
    """Choose the member for each structure: of the stack's modality, or the first."""
    light = light_named(" ".join(volume.channel_names)) or light_named(volume.name)
    chosen: dict[str, list[str]] = {}
    for name in structures:
        able = [member for member in card.members if name in member.structures]
        fit = [one for one in able if is_same_light(light, one.modalities)]
        chosen.setdefault((fit or able)[0].id, []).append(name)
    cards = {member.id: member for member in card.members}
    return [(cards[id_], tuple(names)) for id_, names in chosen.items()]


def _joined(plan: Plan, parts: Sequence[Plan]) -> Plan:
    """Give a bundle's plan the plans of its members, all cut alike where they can be.

    Columns of a store then end at the same places, and its chunks may be large.
    """
    free = [part for part in parts if not part.work.config.sees_whole]
    sides = [part.tile_size.core for part in free]
    core = (min(y for y, _ in sides), min(x for _, x in sides)) if sides else (0, 0)
    alike = []
    for part in parts:
        size = part.tile_size
        if part in free and size.core != core:
            cut = [replace(size, core=core)]
            layout, memory = _cut(part.card, part.request, part.work, cut)
            part = replace(part, layout=layout, memory=memory)
        alike.append(part)
    most = max(alike, key=lambda part: (part.memory.planned, part.memory.on_device))
    return replace(
        plan,
        layout=most.layout,
        memory=most.memory,
        work=most.work,
        passes=most.passes,
        members=tuple(alike),
    )


def merge_notes(
    rows: Sequence[tuple[ModelCard, Sequence[str]]], whole: ModelCard
) -> tuple[str, ...]:
    """Join what is said of several members; what all say is said of the bundle."""
    general = [
        [
            re.sub(rf"(?<![\w-]){re.escape(card.id)}(?![\w-])", whole.id, note)
            for note in notes
        ]
        for card, notes in rows
    ]
    shared = set(general[0]).intersection(*general[1:]) if len(rows) > 1 else set()
    return tuple(
        dict.fromkeys(
            new if new in shared else old
            for (_, notes), news in zip(rows, general, strict=True)
            for old, new in zip(notes, news, strict=True)
        )
    )
