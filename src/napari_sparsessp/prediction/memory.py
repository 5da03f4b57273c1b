"""Plan memory before any is taken: what a prediction needs, and the size of tiles."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from napari_sparsessp.errors import InputError
from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.networks.cost import pass_footprint, weight_bytes
from napari_sparsessp.prediction.device import free_bytes
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.prediction.tiling import (
    Resize,
    TileSize,
    depth_cuts,
    largest_spans,
    lateral_cuts,
)

MIB = 2**20

PROCESS_BYTES = {"cpu": 600 * MIB, "mps": 800 * MIB, "cuda": 2048 * MIB}
"""Memory of Python, torch and their libraries before a prediction; a guess for CUDA."""

SHARE_OF_FREE = 0.6
"""Of what is free, where no limit was asked for: other programs need memory too,
and the system's cache of files is worth having."""

MOST_OF_FREE = 0.9
"""Of what is free, where less would not do."""

SCRATCH = 1.2
"""Work space of convolutions, and what the allocator cannot fill, by measurement:
``benchmarks.speed.memory``."""

MOST_PARTS = 33
"""Of an axis, where any size of tiles gives the same numbers."""

PLANEWISE_SCRATCH = 1.05
"""Of a network that computes a few planes at a time, into memory of its own:
``benchmarks.speed.gvtnet``."""

SCRATCH_BYTES = 48 * MIB

TURNED_COPIES = 7
"""Copies of the results in float32 while transforms are averaged."""

READING_BYTES = 256 * MIB
"""Memory for reading a stack region by region, besides the regions."""


MOST_INPUT_BYTES = 2 * 2**30
"""A larger input is read region by region, whatever room there is."""

USEFUL_CORE = {"cpu": 384, "mps": 512, "cuda": 1024}
"""Pixels along a side. Larger tiles waste less halo, and smaller ones show sooner: on
two cores of a CPU the first tile should be there within about a second, a data-centre
GPU takes less than that for one of 1024 and needs as much to be busy."""

FADE = 8
"""Pixels on each side of a cut over which neighbours cross-fade, where the network sees
further than the halo. Where it does not, they give the same values there."""

LARGEST_HALO = 96
"""Pixels that are computed to be thrown away, at most, so that no cut can be seen."""

FAINT_HALO = 48
"""Pixels of a network that reaches further: what lies beyond counts little, and the
published sliding window (128, half overlap) gives it less."""

SIDES = (4096, 3072, 2048, 1536, 1024, 768, 512, 384, 256, 192, 128, 96, 64, 48, 32)
"""Cores that are tried. Few, so that a little more or less memory changes nothing;
below the smallest the halo is nearly all of a tile."""


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes that a prediction takes, and may take."""

    limit: int  # Most that the process may have
    process: int  # Python, torch and what they load
    network: int  # Weights; on the CPU counted with the rest, otherwise of the device
    merged: int  # What merged networks (RepMode) may take there
    activations: int  # Features and results of one tile at their peak, there too
    input: int  # What is expected of the input
    input_share: int  # What reading and keeping the input may take at most
    output: int  # The whole result in memory, or what a column of it needs
    tile: tuple[int, int]  # (y, x) core of a tile, at most
    device: str = "cpu"
    # Most that may be taken of a GPU's memory; None where it is not known
    device_limit: int | None = None

    @property
    def on_device(self) -> int:
        """Bytes where the network is."""
        return self.network + self.merged + self.activations

    @property
    def planned(self) -> int:
        """Bytes of the process at its peak."""
        here = self.process + self.input + self.output
        return here + self.on_device if self.device != "cuda" else here

    @property
    def text(self) -> str:
        """One line for people, for example ``tile 384×384, 1.2 of 8.0 GB``."""
        y, x = self.tile
        words = f"tile {y}×{x}, {self.planned / 1e9:.1f} of {self.limit / 1e9:.1f} GB"
        if self.device == "cuda":
            words += f", {self.on_device / 1e9:.1f} GB of the GPU"
            if self.device_limit is not None:
                words += f"'s {self.device_limit / 1e9:.1f}"
        return words


@dataclass(frozen=True)
class Workload:
    """All of a prediction that its memory depends on, but the size of its tiles."""

    config: NetworkConfig
    shape: tuple[int, int, int]  # (D, H, W) on the model's grid
    structures: int  # That are predicted, and of the output
    channels: int
    turned: bool = False  # Whether transforms are averaged
    precision: str = "fp32"
    device: str = "cpu"
    prepared: int = 0  # Bytes of what is made of the planes before, and to make it
    # Of the measured planes, as they are read and as they are kept
    input_bytes: int = 0
    output_bytes: int = 0  # Of all that is held in memory for the result
    stored: bool = False  # The result goes to a store, column by column
    resize: Resize | None = None  # The output's pixels where they are not the model's

    def planned(self, size: TileSize, limits: "Limits") -> MemoryPlan:
        """Return the memory that tiles of a size take; see `Limits.fits`."""
        config = self.config
        if size.core_depth is not None:  # any depth: here, that of the deepest tile
            cuts = depth_cuts(self.shape[0], size, config.padding)
            depth = max(stop - start for (start, stop), _ in cuts)
            config = config.model_copy(update={"depth": depth})
        (read_y, read_x), (keep_y, keep_x) = largest_spans(
            self.shape, size, self.resize, config.padding
        )
        read, keep = read_y * read_x, keep_y * keep_x
        outputs = 1 if config.per_structure else self.structures
        weights = weight_bytes(config)
        twin = merged_bytes(config)
        # Convolutions lay out their kernels anew, or in half precision; more is on the
        # way while kernels are merged.
        network = weights + weights // 2 + twin
        activations = activation_bytes(
            config, read, outputs, self.precision, turned=self.turned
        )
        blended = 4 * config.depth * keep * (outputs + 4)
        if self.stored:
            output = 4 * config.depth * keep * (2 * self.channels + 4)
        else:
            output = self.output_bytes
        regions = READING_BYTES + 12 * config.depth * read
        least = min(self.input_bytes, regions)
        base = PROCESS_BYTES.get(self.device, PROCESS_BYTES["cpu"])
        plan = MemoryPlan(
            limit=limits.process,
            process=base + self.prepared,
            network=network,
            merged=twin,
            activations=activations,
            input=least,
            input_share=least,
            output=output + blended,
            tile=size.core,
            device=self.device,
            device_limit=limits.device,
        )
        spare = max(0, limits.process - plan.planned)
        if twin:
            more = (self.structures - 1) * twin
            room = (
                spare // 2 if limits.device is None else limits.device - plan.on_device
            )
            more = max(0, min(more, room))
            plan = replace(plan, merged=twin + more)
            spare = max(0, limits.process - plan.planned)
        share = max(least, min(least + spare, MOST_INPUT_BYTES))
        return replace(
            plan,
            input_share=share,
            input=self.input_bytes if self.input_bytes <= share else share,
        )


@dataclass(frozen=True)
class Limits:
    """Most bytes that may be taken."""

    process: int
    # Of the memory of a GPU; None without a GPU, or where it is not known
    device: int | None = None
    asked: bool = False  # Whether the user asked for this limit

    def fits(self, plan: MemoryPlan) -> bool:
        """Whether a plan stays below them."""
        here = plan.planned <= self.process
        return here and (self.device is None or plan.on_device <= self.device)


def activation_bytes(
    config: NetworkConfig,
    pixels: int,
    outputs: int,
    precision: str = "fp32",
    *,
    turned: bool = False,
) -> int:
    """Peak of one pass over (H × W) pixels, without weights; never below the real."""
    copies = TURNED_COPIES if turned else 1
    footprint = pass_footprint(config, outputs)
    features = footprint.bytes_of(pixels, precision, copies)
    scratch = PLANEWISE_SCRATCH if footprint.moving else SCRATCH
    return int(scratch * features) + SCRATCH_BYTES


def merged_bytes(config: NetworkConfig) -> int:
    """Bytes of one structure's merged network; 0 where a network is not merged."""
    if config.conditioning != "repmode":
        return 0
    plain = config.model_copy(update={"conditioning": "multihead", "outputs": 1})
    return weight_bytes(plain)


def find_limits(device: str, asked: int | None) -> tuple[Limits, ...]:
    """Limits from what is free and what the user asked for."""
    kind = device.partition(":")[0]
    # What is free is free beside the process, which is there already.
    base = PROCESS_BYTES.get(kind, PROCESS_BYTES["cpu"])
    free = free_bytes("cpu") or 0
    on_gpu = free_bytes(device) if kind == "cuda" else None
    gpu = None if on_gpu is None else int(MOST_OF_FREE * on_gpu)
    most = base + int(MOST_OF_FREE * free)
    if asked is not None:
        if kind == "cuda":
            gpu = min(asked, gpu or asked)
        return (Limits(min(asked, most), gpu, asked=asked < most),)
    return Limits(base + int(SHARE_OF_FREE * free), gpu), Limits(most, gpu)


def choose_tile(
    workload: Workload, sizes: Iterable[TileSize], limits: Sequence[Limits]
) -> tuple[TileSize, MemoryPlan]:
    """Choose the first size of tiles that fits the first limits that any fits."""
    tried = tuple(sizes)
    # Of tiles smaller than their halo nearly all is computed to be thrown away: rather
    # up to the last limit.
    worth = tuple(size for size in tried if max(size.core) >= size.halo) or tried
    for bound in limits:
        for size in tried if bound is limits[-1] else worth:
            plan = workload.planned(size, bound)
            if bound.fits(plan):
                return size, plan
    least = workload.planned(tried[-1], limits[-1])
    raise InputError(_too_little(least, limits[-1], workload.stored))


def _too_little(plan: MemoryPlan, limits: Limits, stored: bool) -> str:
    if limits.device is not None and plan.on_device > limits.device:
        needed, there = plan.on_device, limits.device
        where, advice = " on the GPU", "the CPU"
    else:
        needed, there, where = plan.planned, limits.process, ""
        advice = "fewer structures or time points" + (
            "" if stored else ", or predict to a file (sparsessp predict --out)"
        )
    if limits.asked:
        least = math.ceil(needed / 1e8) / 10
        return (
            f"a memory limit of {there / 1e9:.1f} GB{where} is too little: this "
            f"prediction needs at least {least:.1f} GB; give that much, or choose "
            f"{advice}"
        )
    return (
        f"the prediction needs {needed / 2**30:.1f} GiB of memory{where} and "
        f"{there / 2**30:.1f} GiB are free; choose {advice}, and check the ratio and "
        "the voxel size"
    )


def tile_sizes(
    card: ModelCard,
    network: NetworkConfig,
    request: PredictionRequest,
    shape: tuple[int, int, int],
    device: str = "cpu",
) -> Iterator[TileSize]:
    """Return the sizes that could be used for (D, H, W), the best first."""
    if request.tile is not None and min(request.tile) < 1:
        raise InputError(f"tile {request.tile} cannot be used; give sizes above 0")
    if network.padding.depth > 1:
        yield from _whole_stacks(network, request, shape)
        return
    near = not cross_fades(network)
    halo = network.reach if near else FAINT_HALO
    most = (USEFUL_CORE.get(device, USEFUL_CORE["cpu"]),) * 2
    fixed = network.sees_whole
    if whole_fields(network):
        _, *sides = _rounded(shape, network.stride)
        most, fixed = (sides[0], sides[1]), False
    elif fixed:
        # Its norms want windows of the size that they were trained with.
        halo = card.patch[1] // 4 - FADE
        most = (max(card.patch[1] - 2 * (halo + FADE), network.stride),) * 2
    largest = most
    if request.tile is not None and not fixed:
        largest = request.tile[1:]
    cores = [largest]
    if not fixed:  # of one that sees the whole tile, others give other numbers
        cores += [(min(side, largest[0]), min(side, largest[1])) for side in SIDES]
    for core in dict.fromkeys(cores):
        yield TileSize(
            network.depth,
            core,
            network.stride,
            halo=halo,
            fade=0 if near else FADE,
            overlap=0.5 if request.overlap is None else request.overlap,
            step=network.ratio,
            advance=_advance(network, request),
        )


def _whole_stacks(
    network: NetworkConfig, request: PredictionRequest, shape: tuple[int, int, int]
) -> Iterator[TileSize]:
    """Sizes for a network that takes a stack of any depth; the least work first.

    All at once has no halo.
    """
    padding, stride = network.padding, network.stride
    whole = _rounded(shape, stride)
    asked = whole if request.tile is None else _rounded(request.tile, stride)
    largest = tuple(map(min, whole, asked))

    def sized(core: tuple[int, ...]) -> TileSize:
        return TileSize(
            network.depth,
            (core[1], core[2]),
            stride,
            halo=network.reach,
            core_depth=core[0],
        )

    @cache
    def voxels_read(axis: int, core: int) -> int:
        """Along one axis, in all tiles."""
        size = sized((core, core, core))
        if not axis:
            cuts = depth_cuts(shape[0], size, padding)
            return sum(read[1] - read[0] for read, _ in cuts)
        fields = lateral_cuts(shape[axis], size, axis - 1, padding=padding)
        return sum(cut.read[1] - cut.read[0] for cut in fields)

    cores = {
        (depth, min(side, largest[1]), min(side, largest[2]))
        for depth in _parts(largest[0], stride)
        for side in _parts(max(largest[1:]), stride)
    }

    def work(core: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        voxels = math.prod(voxels_read(axis, one) for axis, one in enumerate(core))
        return voxels, tuple(-one for one in core)

    yield from map(sized, sorted(cores, key=work))


def _parts(length: int, stride: int) -> set[int]:
    """Lengths of as many equal parts as are sensible, in whole strides."""
    return {-(-length // count // stride) * stride for count in range(1, MOST_PARTS)}


def _rounded(sizes: Iterable[int], stride: int) -> tuple[int, ...]:
    """Round sizes up to whole strides."""
    return tuple(-(-size // stride) * stride for size in sizes)


def _advance(network: NetworkConfig, request: PredictionRequest) -> int | None:
    """Planes from window to window, where a published network has steps of its own."""
    step = network.window_step
    if step is None or request.overlap is None:
        return step
    return step * max(1, round(network.depth * (1 - request.overlap) / step))


def whole_fields(network: NetworkConfig) -> bool:
    """Whether a network wants the whole field in y and x, as it was published."""
    return network.window_step is not None or network.padding.mode != "edge"


def cross_fades(network: NetworkConfig) -> bool:
    """Whether a network sees further than any halo, so that cuts would show."""
    return network.sees_whole or network.reach > LARGEST_HALO


def tile_notes(
    card: ModelCard,
    network: NetworkConfig,
    request: PredictionRequest,
    size: TileSize,
    shape: tuple[int, int, int],
) -> list[str]:
    """Describe tiles of (D, H, W) that are not as asked for, or change the numbers."""
    y, x = size.core
    notes = []
    if (
        whole_fields(network)
        and network.sees_whole
        and not (y >= shape[1] and x >= shape[2])
    ):
        notes.append(
            f"{card.id} looks at the whole image: in tiles of {y}×{x} pixels its "
            "numbers change everywhere, and may change as much as they vary "
            "(docs/models.md); give more memory, or no --tile, for those of the whole"
        )
    if request.tile is None:
        return notes
    if request.tile[0] < card.patch[0] and size.core_depth is None:
        notes.append(
            f"tile depth {request.tile[0]} is smaller than the network's window; "
            f"{card.patch[0]} planes are used"
        )
    fitting = _rounded(shape[1:], size.stride)
    if size.core in (request.tile[1:], tuple(map(min, request.tile[1:], fitting))):
        return notes
    if network.sees_whole and not whole_fields(network):
        notes.append(
            f"tiles of {y}×{x} pixels are used: the norms of this network look at all "
            "of a tile, so with others it would give other numbers"
        )
    else:
        notes.append(
            f"memory allows tiles of {y}×{x} pixels, not of "
            f"{request.tile[1]}×{request.tile[2]}; give more with --memory-limit or "
            "close other programs"
        )
    return notes
