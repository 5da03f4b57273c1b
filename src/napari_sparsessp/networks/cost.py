"""Cost of a network: memory of a pass, parameters, multiply-adds.

Memory is estimated without building the network or loading torch.
The pass is gone through on paper: what is alive at the same time in its encoder, in its
change of dimension, on each level of its decoder, and in its head. Numbers are values
for each pixel of the tile: a level at 1/2 resolution counts a quarter of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from napari_sparsessp.networks import build_network
from napari_sparsessp.networks.backbone_specs import BACKBONES
from napari_sparsessp.networks.config import PLANES_BYTES, NetworkConfig
from napari_sparsessp.networks.families import (
    UNEXT,
)

VALUE_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
"""Of a value that is computed with."""

WIDER = {"condnet": 1.0, "tgnet": 1.0, "tsn": 1.0}
"""Features more on a level where its units know the structure."""


MOVING = 6
"""Features of which ``gvt`` has a few planes at the same time."""

CARRIED = 3
"""Planes of each besides `PLANES_BYTES`: those that the next ones need."""


@dataclass(frozen=True)
class Footprint:
    """Values that are alive at the peak of a pass, for each pixel of its tile."""

    computed: float  # features, in the precision of the pass
    kept: float  # those of them that stay while the results are handed on
    given: float  # the input, as it comes and as the network sees it; float32
    # S · D, in the precision of the pass and, when they are handed on, in float32.
    results: float
    # Of ``gvt``: channels of the features of which a few planes are there besides, how
    # many these are, and their planes; what is computed on the next level
    moving: int = 0
    features: float = 0.0
    depth: int = 0
    coarser: float = 0.0

    def bytes_of(self, pixels: int, precision: str = "fp32", copies: int = 1) -> int:
        """Bytes at the peak, weights left aside.

        `pixels` are height times width of what the network sees, `copies` how often the
        results are there in float32 while they are handed on.
        """
        size = VALUE_BYTES[precision]
        # What an autocast pass casts of its input is alive too.
        given = self.given * (4 if size == 4 else 6)
        after = (self.kept + self.results) * size + 4 * copies * self.results
        now = self.computed * size * pixels + self._moving(size * pixels, 1)
        coarser = self.coarser * size * pixels + self._moving(size * pixels, 2)
        now = max(now, coarser)
        return int(max(now, pixels * after) + pixels * given)

    def _moving(self, plane: float, halved: int) -> float:
        """Bytes of planes at a time, at full or half resolution."""
        plane *= self.moving / halved
        few = PLANES_BYTES + CARRIED * plane
        return self.features * min(self.depth // halved * plane, few)


def pass_footprint(config: NetworkConfig, outputs: int) -> Footprint:
    """Return the values at the peak of a pass that predicts so many structures."""
    results = float(outputs * config.depth)
    given = 2.0 * config.inputs * config.planes
    if config.conditions_units and config.task_where == "input":
        given += config.outputs * config.planes
    if config.backbone == "gvt":
        sides = _spread(config.encoder_widths, config.level_depths(config.depth), True)
        coarser = sum(sides) + sum(sides[1:3])
        moving, kept = config.encoder_widths[0], sum(sides[:2])
        # The head makes three planes of each output, and their sums.
        features = max(MOVING, MOVING - 1 + 5 * outputs / moving)
        return Footprint(
            *(kept + results, kept, given, results),
            *(moving, features, config.depth, coarser),
        )
    stages_of = {"slim": _slim, **dict.fromkeys(UNEXT, _unext)}
    stages, kept = stages_of.get(config.backbone, _unet)(config, results)
    return Footprint(max(stages), kept, given, results)


def weight_bytes(config: NetworkConfig) -> int:
    """Bytes of a network's float32 weights: a count that leaves small things out.

    Never below the true one: a tenth is added for biases, norms and gates.
    """
    weights_of = {
        "slim": _slim_weights,
        "gvt": _gvt_weights,
        "fnet3d": _fnet3d_weights,
        **dict.fromkeys(UNEXT, _unext_weights),
    }
    count = weights_of.get(config.backbone, _unet_weights)(config)
    if config.conditioning == "multinet":
        count *= config.outputs
    return int(4 * 1.1 * count) + 2**20


def _spread(
    widths: Sequence[int], depths: Sequence[int], three: bool, first: int = 0
) -> list[float]:
    """Values of the features of all levels; `first` halvings before the first one."""
    return [
        width * (depth if three else 1) / 4 ** (level + first)
        for level, (width, depth) in enumerate(zip(widths, depths, strict=False))
    ]


def _slim(config: NetworkConfig, results: float) -> tuple[list[float], float]:
    """Stages of a slim network, and what its decoder goes back to."""
    halved = [
        config.depth >> (level + 1) for level in range(len(config.encoder_widths))
    ]
    encoder = _spread(config.encoder_widths, halved, config.encoder_3d, first=1)
    if config.decoder_3d:
        decoder = _spread(config.decoder_widths, halved, True, first=1)
    else:
        flat = [1] * len(config.decoder_widths)
        decoder = _spread(config.decoder_widths, flat, False)
    kept = sum(decoder)
    stages, held = [], decoder[0]
    before = decoder[0] if config.topology == "2d" else 0.0
    for level, one in enumerate(encoder):
        # What came, a block's input, its activation, a convolution, its activation.
        stages.append(held + before + 4 * one)
        held, before = held + decoder[min(level + 1, len(decoder) - 1)], one
    stages += [kept + 3.5 * one for one in decoder]
    head = kept + 2 * decoder[0] + results
    # Sub-voxels are put in their places by copies.
    stages.append(head + results if config.decoder_3d else head)
    return stages, kept


def _unext(config: NetworkConfig, results: float) -> tuple[list[float], float]:
    """Stages of FCMAE and UNeXt2, and what their decoder goes back to."""
    area, widths = float(config.stem[2] ** 2), config.encoder_widths
    encoder = [width / area / 4**level for level, width in enumerate(widths)]
    decoder = [
        width / area / 4**level for level, width in enumerate(config.decoder_widths)
    ]
    # Voxels of the stem are put in order twice.
    stages, held, last = [2.0 * config.depth + 3 * encoder[0]], 0.0, 0.0
    for one in encoder:
        # What comes, a block's input, its norm, and four times as much inside of it
        stages.append(held + max(2 * last + one, BLOCK * one))
        held, last = held + one, one
    kept, coarse = held, encoder[-1]
    for skip, one in zip(reversed(encoder[:-1]), reversed(decoder), strict=True):
        # The coarser feature, spread out, beside the finer one, and their norm
        stages += [kept + 2 * coarse + 2 * (coarse + skip) + one, kept + BLOCK * one]
        coarse = one
    voxels = decoder[0]
    if config.head_form == "convolution":
        # At half resolution, two values of which one is the norm's
        wide = config.outputs * config.head_expansion * config.depth
        stages.append(kept + 3 * voxels + 3 * wide)
        stages.append(kept + voxels + 2 * wide + 3 * results)
    else:
        stages.append(kept + voxels + 3 * results + voxels)
    return stages, kept + voxels


BLOCK = 9.1
"""Values of a block of FCMAE or UNeXt2 at its peak, for each of its input's."""


def _unet(config: NetworkConfig, results: float) -> tuple[list[float], float]:
    """Stages of the other networks, and what their decoder goes back to."""
    residual, merged = config.backbone == "dod", config.conditioning == "repmode"
    # Of merged networks the norm is in the kernels.
    norm = 0 if config.norm == "none" or (merged and not residual) else 1
    more = WIDER.get(config.conditioning, 0.0)
    encoder = _encoder_levels(config)
    stages, held, last = [], 0.0, 0.0
    early = more if config.task_where == "all" else 0.0
    for one in encoder:
        # The way down: norm and activation of the finer level where they come first.
        down = 2 * last + 3 * one if residual else last / 2
        stages.append(held + max(down, (3 + norm + early) * one))
        held, last = held + one, one
    levels = _decoder_levels(config)
    if config.encoder_3d != config.decoder_3d:
        stages.append(held + sum(levels) + 2 * max(levels))
    kept = sum(levels)
    if config.conditioning == "tsn":
        kept *= 2  # each feature is switched, and the first form stays
    depths = config.level_depths(config.decoded_planes)
    below = [*_spread(config.decoder_widths[1:], depths, config.decoder_3d)]
    wide = _spread(config.decoder_widths, depths, config.decoder_3d)
    deepest = levels[-1] * 4 ** (len(levels) - 1) / 4 ** (len(wide) - 1)
    if config.decoder_3d and depths[-1] != depths[len(wide) - 1]:
        deepest *= depths[len(wide) - 1] / depths[-1]
    for skip, deep, out in zip(levels, [*below, deepest], wide, strict=False):
        if residual:
            adapted = 0.0 if skip == deep else deep
            uneven = 0.0 if deep == out else 2 * deep + out
            working = adapted + deep + max(2 * deep + out, 3 * out, uneven)
        else:
            working = skip + out + (3 + norm) * out
        stages.append(kept + working + more * max(skip, out))
    stages.append(_head(config, kept, wide[0], results))
    return stages, kept


def _encoder_levels(config: NetworkConfig) -> list[float]:
    widths: Sequence[int] = config.encoder_widths
    if config.backbone in BACKBONES:
        widths = BACKBONES[config.backbone].widths
    depths = config.level_depths(config.planes)
    return _spread(widths, depths, config.encoder_3d)


def _decoder_levels(config: NetworkConfig) -> list[float]:
    """Features that the decoder gets: the encoder's, or what they are turned into."""
    if config.encoder_3d == config.decoder_3d:
        return _encoder_levels(config)
    if config.decoder_3d:
        depths = config.level_depths(config.decoded_planes)
        return _spread(config.encoder_widths, depths, True)
    folded = [config.folded_width] * len(config.encoder_widths)
    if config.projection == "code":
        depths = config.level_depths(config.planes)
        folded = [*config.decoder_widths, config.encoder_widths[-1] * depths[-1]]
    return _spread(folded, [1] * len(folded), False)


def _head(config: NetworkConfig, kept: float, width: float, results: float) -> float:
    """Its norm and activation, what comes before dynamic weights, a stretch in z."""
    stretched = config.mapping == "postfix"
    deep = config.decoder_3d or stretched
    before = config.head_width * (config.depth if deep else 1)
    prepared = 3 * width + (3 * before if stretched else before)
    predicted = width + before + results
    if config.conditioning in ("dodnet", "tgnet"):
        # On a GPU the structures of a dynamic head come one by one and are joined.
        predicted += results + 2 * before
    return kept + max(prepared, predicted)


def _slim_weights(config: NetworkConfig) -> float:
    deep = 3 if config.encoder_3d else 2
    wide, widths = (3 if config.decoder_3d else 2), config.decoder_widths
    planes = config.inputs * config.planes
    count = 0.0
    if config.decoder_3d:
        per = config.depth // 2 if not config.encoder_3d else 1
        inputs = config.inputs if config.encoder_3d else planes
        count += inputs * widths[0] * per * (8 if config.encoder_3d else 4)
    else:
        count += planes * widths[0] * 9
    before, kernel = (config.inputs if config.encoder_3d else planes), 4
    if config.topology == "2d":
        before, kernel = widths[0], 2
    targets = widths if config.decoder_3d else widths[1:]
    depth = config.depth
    for width, blocks, target in zip(
        config.encoder_widths, config.encoder_blocks, targets, strict=True
    ):
        depth //= 2
        count += before * width * kernel**deep + 2 * blocks * width**2 * 3**deep
        folded = max(config.folded_width, depth)
        if config.encoder_3d == config.decoder_3d:
            count += width * target
        elif config.decoder_3d:
            count += width * target * depth
        else:
            count += width * folded * (depth if config.projection == "2d" else 1)
            count += folded * (target + folded)
        before, kernel = width, 2
    count += sum(2 * width**2 * 3**wide for width in widths)
    count += sum(a * b for a, b in zip(widths, widths[1:], strict=False))
    head = 8 if config.decoder_3d else config.depth
    return count + widths[0] * config.outputs * head


def _gvt_weights(config: NetworkConfig) -> float:
    widths = config.encoder_widths
    count = 27.0 * widths[0] * (1 + config.outputs) + 4 * widths[-1] ** 2
    count += 54.0 * (sum(width**2 for width in widths[:-1]) + widths[0] ** 2)
    for fine, coarse in zip(widths, widths[1:], strict=False):
        count += 28 * fine * coarse + 27 * coarse**2 + 27 * fine * coarse
    return count + 8 * sum(widths)


def _unext_weights(config: NetworkConfig) -> float:
    def blocks(width: int, number: int) -> float:
        return number * (8 * width**2 + 65 * width)

    widths = config.encoder_widths
    count = float(widths[0] * config.stem[0] * config.stem[2] ** 2)
    count += sum(4 * a * b for a, b in zip(widths, widths[1:], strict=False))
    count += sum(map(blocks, widths, config.encoder_blocks))
    decoder = (*config.decoder_widths, widths[-1])
    for skip, one, below in zip(widths, decoder, decoder[1:], strict=False):
        count += (below // 4 + skip) * one + blocks(one, config.decoder_blocks)
    if config.head_form == "convolution":
        wide = 4 * config.outputs * config.head_expansion
        planes = config.depth + 2
        count += 27 * wide * config.decoder_widths[0] / 4 / planes
        count += 4 * wide * config.outputs
    return count


def _fnet3d_weights(config: NetworkConfig) -> float:
    widths = config.encoder_widths
    steps = sum(a * b for a, b in zip(widths, widths[1:], strict=False))
    units = sum(2 * width**2 for width in widths) + sum(3 * w**2 for w in widths[:-1])
    return 27.0 * (2 * steps + units + widths[0] * (1 + config.outputs))


def _unet_weights(config: NetworkConfig) -> float:
    """Convolutions of encoder, transform and decoder; experts and styles on top."""
    deep, wide = (3 if config.encoder_3d else 2), (3 if config.decoder_3d else 2)
    size = config.kernel
    widths: Sequence[int] = config.encoder_widths
    residual = config.backbone == "dod"
    code = 20 * config.outputs if config.conditioning == "tsn" else config.outputs
    conditions = 2.0 * code + (
        config.encoder_widths[-1] if config.conditions_units else 0
    )
    count, before = 0.0, config.inputs * (1 if config.encoder_3d else config.planes)
    if config.backbone in BACKBONES:
        # Of the published backbones, rounded up.
        count += {"resnet18": 13e6, "vit_l": 310e6}.get(config.backbone, 90e6)
        widths = BACKBONES[config.backbone].widths
    else:
        for width, blocks in zip(widths, config.encoder_blocks, strict=False):
            units = 2 * blocks if residual else 2
            count += _experts(config, deep) * (before * width + (units - 1) * width**2)
            count += width**2 * 2**deep + before * width + 2 * conditions * width
            before = width
    depths = config.level_depths(config.planes)
    turned = [config.folded_width if config.topology == "3to2d" else w for w in widths]
    if config.encoder_3d != config.decoder_3d:
        if config.projection == "code":
            turned = [*config.decoder_widths, widths[-1] * depths[-1]]
            taps = float(_experts(config, 2))
        else:
            taps = 1.0
        depths = config.level_depths(
            config.planes if config.encoder_3d else config.decoded_planes
        )
        if config.projection == "3d":
            count += sum(w * t for w, t in zip(widths, turned, strict=True))
            count += sum(t * t for t in turned)
        else:
            folds = zip(widths, depths, turned, strict=True)
            count += taps * sum(w * depth * t for w, depth, t in folds)
        if config.decoder_3d:
            turned = list(config.encoder_widths)
    own = config.outputs if config.heads == "decoder" else 1
    below = (*config.decoder_widths[1:], turned[-1])
    for skip, deeper, out in zip(turned, below, config.decoder_widths, strict=False):
        inputs = deeper if residual else skip + out
        count += own * _experts(config, wide) * (inputs * out + out**2)
        count += own * (deeper * out * 2**wide + skip * deeper + 4 * conditions * out)
        if config.conditioning == "tgnet":
            count += 2 * skip * (skip + deeper)
    if config.conditioning == "tsn":
        count += 8 * code**2 + sum(w * w + conditions * w for w in turned)
    planes = 1 if config.decoder_3d else config.decoded_planes
    head = config.decoder_widths[0] * size**wide * (planes * config.outputs + 8)
    return count + head + config.head_width**2 * 2 * config.ratio * config.planes


def _experts(config: NetworkConfig, dimension: int) -> int:
    """Taps of a convolution's kernel, or of all of its experts' kernels."""
    size = config.kernel
    if config.conditioning != "repmode":
        return size**dimension
    sizes = range(size, 0, -2)
    return sum(one**dimension for one in sizes) + len(sizes) - 1


@dataclass(frozen=True)
class Cost:
    """Cost of one patch."""

    parameters: int
    multiply_adds: int

    @property
    def gmac(self) -> float:
        """10⁹ multiply-adds."""
        return self.multiply_adds / 1e9


def count_cost(
    config: NetworkConfig,
    structures: Sequence[int] | None = None,
    size: tuple[int, int] = (128, 128),
) -> Cost:
    """Count without memory for weights or images (on torch's meta device).

    RepMode's `structures` are merged first, which is not counted: it is done once, not
    for each patch.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from napari_sparsessp.networks.layers import without_values

    with without_values():
        network = build_network(config).eval()
    with torch.no_grad(), torch.device("meta"):
        x = torch.empty(1, config.inputs, config.planes, *size)
        with FlopCounterMode(display=False) as counter:
            network(x, structures)
    parameters = sum(weight.numel() for weight in network.parameters())
    return Cost(parameters, counter.get_total_flops() // 2)
