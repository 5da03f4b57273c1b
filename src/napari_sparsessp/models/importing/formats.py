"""Recognise published weights and map them to our networks.

RepMode, SparseSSP and pytorch_fnet here, VisCy in `viscy`.

Each format has a reader that reads the architecture off the shapes of the weights, and
a table "our name → published name"; both sides have the same shapes, so no number is
ever changed. Levels are counted from full resolution down.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparsessp.errors import ModelError
from napari_sparsessp.models.importing.answers import (
    CheckpointInfo,
    Source,
    named_structures,
    questions_for,
)
from napari_sparsessp.models.importing.checkpoint import (
    Checkpoint,
    State,
    checked_state,
    open_checkpoint,
    refusal,
)
from napari_sparsessp.models.importing.gvtnet import read_gvtnet
from napari_sparsessp.models.importing.tensorflow import find_index
from napari_sparsessp.models.importing.viscy import (
    FCMAE_PREFIX,
    FNET3D_PREFIX,
    UNEXT2_PREFIX,
    lightning_weights,
    read_fnet3d,
    read_unext,
)

if TYPE_CHECKING:
    import torch

WIDEST = 4096
"""Channels; as in `NetworkConfig`."""

DENSE_PLANES = 32
"""Planes of the published training patches, of all three formats."""

_TABLES = ("nn_state", "model", "state_dict")
"""Where formats keep their weights; a bare table of weights is taken as well."""


def inspect_checkpoint(path: str | Path) -> CheckpointInfo:
    """Recognise a published checkpoint, and list what it does not say."""
    return read_source(path).found


def read_source(path: str | Path) -> Source:
    """Open a checkpoint and find a place for each of its weights."""
    if (index := find_index(path)) is not None:
        return read_gvtnet(index)
    import torch

    with torch.inference_mode(False):  # its tensors could not be used outside of it
        checkpoint = open_checkpoint(path)
        _refuse_ensemble(checkpoint)
        content = checkpoint.content
        table: Any = lightning_weights(content)
        if table is None:
            tables = (content[name] for name in _TABLES if name in content)
            table = next(tables, content)
        state = checked_state(table, checkpoint.path)
    for prefix, read in _READERS.items():
        if any(name.startswith(prefix) for name in state):
            return read(checkpoint, state)
    raise refusal(checkpoint.path, "its weights are those of no known network")


def _refuse_ensemble(checkpoint: Checkpoint) -> None:
    name = checkpoint.content.get("fnet_model_class")
    if isinstance(name, str) and name.endswith("Ensemble"):
        raise ModelError(
            f"{checkpoint.path} is an ensemble of pytorch_fnet, a list of other files "
            "without weights of its own; import the member models one by one"
        )


# Shapes -----------------------------------------------------------------------------


class Shapes:
    """Shapes of a checkpoint's weights, with refusals instead of KeyErrors."""

    def __init__(self, state: Mapping[str, torch.Tensor], path: Path) -> None:
        self._state = state
        self._path = path

    def __contains__(self, name: str) -> bool:
        return name in self._state

    def _shape(self, name: str) -> tuple[int, ...]:
        if name not in self._state:
            raise refusal(self._path, f"{name} is missing")
        return tuple(self._state[name].shape)

    def kernel(self, name: str) -> tuple[int, ...]:
        """Return the shape (Co, Ci, k, …) of a 2D or 3D convolution's weight."""
        shape = self._shape(name)
        # Ci of a folded feature may exceed the widest layer; planes times channels.
        wrong = len(shape) not in (4, 5) or not all(0 < n <= 2**17 for n in shape)
        if wrong or len(set(shape[2:])) != 1 or shape[0] > WIDEST:
            raise refusal(
                self._path, f"{name} has the shape {'×'.join(map(str, shape)) or '1'}"
            )
        return shape

    def columns(self, name: str) -> int:
        """Return the columns of a gate's matrix."""
        shape = self._shape(name)
        if len(shape) != 2 or not 0 < shape[1] <= WIDEST:
            raise refusal(self._path, f"{name} is not a matrix of a gate")
        return shape[1]

    def count(self, name: Callable[[int], str]) -> int:
        """Return how many of ``name(0)``, ``name(1)``, … there are."""
        number = 0
        while name(number) in self._state:
            number += 1
        return number


def _dimension(kernel: tuple[int, ...]) -> int:
    return len(kernel) - 2


def _listed(widths: Sequence[int]) -> str:
    return ", ".join(map(str, widths))


def _dense_planes(levels: int) -> int:
    """Return the planes of a 3D network's patch, which halves `levels` times."""
    return max(DENSE_PLANES, 2**levels)


def _parameters(state: Mapping[str, torch.Tensor]) -> int:
    """Count the trainable numbers of a checkpoint."""
    fixed = ("running_mean", "running_var", "num_batches_tracked", "_pool")
    return sum(t.numel() for name, t in state.items() if not name.endswith(fixed))


# Names ------------------------------------------------------------------------------

_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

_MODE = {
    "expert_5": "expert_conv5x5_conv",
    "expert_3": "expert_conv3x3_conv",
    "expert_1": "expert_conv1x1_conv",
    "pool_3": "expert_avg3x3_conv",
    "pool_5": "expert_avg5x5_conv",
    "average_3": "expert_avg3x3_pool",
    "average_5": "expert_avg5x5_pool",
    "gate.weight": "gate.weight",
    "gate.bias": "gate.bias",
}
"""RepMode's mixture of diverse experts (Zhou et al., CVPR 2023, section 3.2)."""

EXPERT = _MODE["expert_5"]
"""The largest expert: its shape is that of the merged kernel."""


def _names(
    ours: str, theirs: str, parts: Sequence[str] = ("weight", "bias")
) -> dict[str, str]:
    return {f"{ours}.{part}": f"{theirs}.{part}" for part in parts}


def _mode_names(ours: str, theirs: str, *, norm: bool = True) -> dict[str, str]:
    """Map a mixture-of-experts convolution, with its norm where it has a norm."""
    names = {f"{ours}.conv.{our}": f"{theirs}.{their}" for our, their in _MODE.items()}
    if norm:
        names |= _names(f"{ours}.norm", f"{theirs}.subsequent_layer.0", _NORM)
    return names


def _step_names(ours: str, theirs: str) -> dict[str, str]:
    """Map a strided or transposed convolution without bias, and its norm."""
    weight = {f"{ours}.conv.weight": f"{theirs}.0.weight"}
    return weight | _names(f"{ours}.norm", f"{theirs}.1", _NORM)


# The U-Net of mixture-of-experts convolutions that RepMode and SparseSSP share ------


@dataclass(frozen=True)
class Spelling:
    """Published names of the parts of a mixture-of-experts U-Net."""

    encoder: Callable[[int, int], str]  # encoder, decoder: From level and unit (0, 1)
    decoder: Callable[[int, int], str]
    # down, up: From the level of the step away from it, and to it
    down: Callable[[int], str]
    up: Callable[[int], str]
    bottleneck: str  # With `{}` for the unit, counted from 1
    head: str


def _read_mode_unet(
    shapes: Shapes, spelling: Spelling, levels: int, path: Path
) -> tuple[dict[str, Any], tuple[int, int]]:
    """Read fields of `NetworkConfig`; dimensions of the first and the last layer."""
    if not 1 <= levels <= 8:
        raise refusal(path, f"it has {levels} levels above its bottleneck")

    def kernel(name: str) -> tuple[int, ...]:
        return shapes.kernel(f"{name}.{EXPERT}")

    encoder = [kernel(spelling.encoder(level, 0)) for level in range(levels)]
    encoder.append(kernel(spelling.bottleneck.format(1)))
    decoder = [kernel(spelling.decoder(level, 0)) for level in range(levels)]
    first, last = encoder[0], kernel(spelling.head)
    if first[-1] != 5:
        raise refusal(path, f"its largest kernel is {first[-1]}, where RepMode has 5")
    network = {
        "backbone": "plain",
        "conditioning": "repmode",
        "inputs": first[1],
        "outputs": shapes.columns(f"{spelling.encoder(0, 0)}.gate.weight"),
        "depth": last[0],
        "encoder_widths": tuple(one[0] for one in encoder),
        "decoder_widths": tuple(one[0] for one in decoder),
        "kernel": first[-1],
        "norm": "batch",
    }
    return network, (_dimension(first), _dimension(last))


def _mode_unet_names(spelling: Spelling, levels: int) -> dict[str, str]:
    """Return the published name of each of our weights."""
    names: dict[str, str] = {}
    for unit in (0, 1):
        names |= _mode_names(
            f"encoder.levels.{levels}.units.{unit}",
            spelling.bottleneck.format(unit + 1),
        )
        for level in range(levels):
            ours = f"levels.{level}.units.{unit}"
            names |= _mode_names(f"encoder.{ours}", spelling.encoder(level, unit))
            names |= _mode_names(f"decoder.{ours}", spelling.decoder(level, unit))
    for level in range(levels):
        names |= _step_names(f"encoder.downs.{level}", spelling.down(level))
        names |= _step_names(f"decoder.ups.{level}", spelling.up(level))
    return names | _mode_names("head", spelling.head, norm=False)


# RepMode's model_best_*.p (Zhou et al., CVPR 2023) ----------------------------------

_REPMODE = Spelling(
    encoder=lambda level, unit: f"encoder_block{level + 1}.conv_more.conv{unit + 1}",
    decoder=lambda level, unit: f"decoder_block{level + 1}.conv_less.conv{unit + 1}",
    down=lambda level: f"encoder_block{level + 1}.conv_down",
    up=lambda level: f"decoder_block{level + 1}.convt",
    bottleneck="bottle_block.conv{}",
    head="conv_out",
)


def _read_repmode(checkpoint: Checkpoint, state: State) -> Source:
    path = checkpoint.path
    shapes = Shapes(state, path)
    levels = shapes.count(lambda level: f"{_REPMODE.encoder(level, 0)}.{EXPERT}")
    network, ends = _read_mode_unet(shapes, _REPMODE, levels, path)
    if ends != (3, 3) or network["depth"] != 1:
        raise refusal(path, "its layers are not those of a 3D network of one output")
    network |= {"topology": "3d", "mapping": "prefix", "interpolation": "linear"}
    network["depth"] = _dense_planes(levels)
    tasks, size = network["outputs"], network["kernel"]
    structures = named_structures(_data_sets(checkpoint.content), tasks, path)
    widths = _listed(network["encoder_widths"])
    notes = (
        f"3D U-Net with {levels} levels and a bottleneck, {widths} channels",
        f"{size}×{size}×{size} kernels, mixed for each of {tasks} structures from five "
        "experts",
        "trained on dense stacks: ratio 1",
    )
    questions = questions_for(path, tasks, structures, 1)
    found = CheckpointInfo(
        *(path, "RepMode", network, tasks, structures, 1),
        *(_parameters(state), notes, questions),
    )
    return Source(found, state, _mode_unet_names(_REPMODE, levels))


def _data_sets(content: dict[Any, Any]) -> list[Any] | None:
    """Return RepMode's training data sets, in the order of its tasks."""
    options = content.get("opts")
    if isinstance(options, argparse.Namespace):
        options = vars(options)
    if type(options) is not dict:
        return None
    names = options.get("adopted_datasets")
    if not isinstance(names, list | tuple) or not 0 < len(names) <= 1000:
        return None
    # The published code numbers its tasks in alphabetical order.
    return sorted(names) if all(isinstance(n, str) for n in names) else list(names)


# SparseSSP's best.pth (Zheng et al., ECCV 2024) -------------------------------------

_BLOCKS = "encoder_layers.blocks."
_GATES = "dec_before_hook.out_gates."
"""Task-gated convolutions that map folded features; the first is the bottleneck's."""


def _sparsessp_spelling(levels: int) -> Spelling:
    encoder, decoder = _BLOCKS, "decoder_layers.blocks."
    last = levels - 1  # the decoder's blocks are counted from the bottleneck up
    return Spelling(
        encoder=lambda level, unit: f"{encoder}{level}.conv_more.conv{unit + 1}",
        decoder=lambda level, unit: f"{decoder}{last - level}.conv_less.conv{unit + 1}",
        down=lambda level: f"{encoder}{level}.conv_down",
        up=lambda level: f"{decoder}{last - level}.convt",
        bottleneck="bottle.conv{}",
        head="out_head",
    )


def _read_sparsessp(checkpoint: Checkpoint, state: State) -> Source:
    """Read the released 3-to-2D network, or a 3D or 2D network."""
    path = checkpoint.path
    # The distributed weight and the code that is said to read it differ in this name.
    state = {
        "bottle." + name.removeprefix("bottle_neck.")
        if name.startswith("bottle_neck.")
        else name: tensor
        for name, tensor in state.items()
    }
    shapes = Shapes(state, path)
    levels = shapes.count(lambda level: f"{_BLOCKS}{level}.conv_more.conv1.{EXPERT}")
    network, ends = _read_mode_unet(shapes, _sparsessp_spelling(levels), levels, path)
    gated = f"{_GATES}0.{EXPERT}" in shapes
    if gated != (ends == (3, 2)) or ends == (2, 3):
        raise refusal(
            path,
            f"its encoder is {ends[0]}D and its decoder {ends[1]}D "
            f"{'with' if gated else 'without'} gates between them, which no published "
            "network has",
        )
    names = _mode_unet_names(_sparsessp_spelling(levels), levels)
    for level in range(levels + 1 if gated else 0):
        theirs = f"{_GATES}{0 if level == levels else level + 1}"
        names |= _mode_names(f"transform.levels.{level}", theirs)
    ratio, notes = _complete_sparsessp(network, shapes, ends, levels, path)
    tasks = network["outputs"]
    questions = questions_for(path, tasks, None, ratio, depth=network["depth"])
    found = CheckpointInfo(
        *(path, "SparseSSP", network, tasks, None, ratio),
        *(_parameters(state), notes, questions),
    )
    return Source(found, state, names)


def _complete_sparsessp(
    network: dict[str, Any],
    shapes: Shapes,
    ends: tuple[int, int],
    levels: int,
    path: Path,
) -> tuple[int | None, tuple[str, ...]]:
    """Add what the shapes give; return the ratio where they give it, and notes."""
    topology = {(3, 3): "3d", (2, 2): "2d", (3, 2): "3to2d"}[ends]
    if topology == "3d":
        network["depth"] = _dense_planes(levels)
    planes = depth = network["depth"]
    if topology == "2d":
        planes, network["inputs"] = network["inputs"], 1
    elif topology == "3to2d":
        folded = shapes.kernel(f"{_GATES}1.{EXPERT}")[1]
        planes = folded // network["encoder_widths"][0]
    if not 0 < planes <= depth or depth % planes:
        raise refusal(path, f"it makes {depth} planes from {planes}, no whole ratio")
    network |= {
        "topology": topology,
        "mapping": "prefix" if planes == depth else "none",
        "interpolation": "hold",
        "ratio": depth // planes,
    }
    notes = [
        f"{ends[0]}D encoder with {levels} levels and a bottleneck, "
        f"{_listed(network['encoder_widths'])} channels; {ends[1]}D decoder, "
        f"{_listed(network['decoder_widths'])} channels",
        f"kernels of {network['kernel']}, mixed for each of {network['outputs']} "
        "structures from five experts",
        f"windows of {depth} dense planes",
    ]
    if topology == "3to2d":
        network["projection"] = "code"
        network["folded_width"] = shapes.kernel(f"{_GATES}0.{EXPERT}")[0]
        notes.append("depth is folded into channels by task-gated convolutions")
    if planes != depth:
        return depth // planes, (*notes, f"takes {planes} planes for {depth}")
    return None, (*notes, "planes in between repeat the one measured below")


# pytorch_fnet's model.p, old and new (Ounkomol et al., Nature Methods 2018) ---------


def _fnet_level(level: int) -> str:
    return "net_recurse" + ".sub_u" * level


def _read_fnet(checkpoint: Checkpoint, state: State) -> Source:
    """Read a 2D or 3D network."""
    path = checkpoint.path
    shapes = Shapes(state, path)

    def block(level: int, side: str = "more") -> str:
        return f"{_fnet_level(level)}.sub_2conv_{side}.conv1.weight"

    first, last = shapes.kernel(block(0)), shapes.kernel("conv_out.weight")
    levels = shapes.count(block) - 1
    if not 1 <= levels <= 8:
        raise refusal(path, f"it has {levels} levels above its bottleneck")
    encoder = [shapes.kernel(block(level))[0] for level in range(levels + 1)]
    decoder = [shapes.kernel(block(level, "less"))[0] for level in range(levels)]
    dimension = _dimension(first)
    if dimension != _dimension(last):
        raise refusal(path, "its layers are partly 2D and partly 3D")
    inputs, outputs, depth = first[1], last[0], 1
    if dimension == 3:
        depth = _dense_planes(levels)
    elif inputs == outputs:  # the channels of this 2D network are planes
        inputs, outputs, depth = 1, 1, last[0]
    network: dict[str, Any] = {
        "backbone": "fnet",
        "topology": f"{dimension}d",
        "mapping": "prefix",
        "interpolation": "linear",
        "conditioning": "multihead",
        "inputs": inputs,
        "outputs": outputs,
        "depth": depth,
        "encoder_widths": tuple(encoder),
        "decoder_widths": tuple(decoder),
        "kernel": first[-1],
        "norm": "batch",
        "bias": True,
    }
    notes = (
        f"{dimension}D U-Net with {levels} levels and a bottleneck, "
        f"{_listed(encoder)} channels, kernels of {first[-1]}",
        f"{first[1]} input and {last[0]} output channel" + "s" * (last[0] > 1),
        "trained on dense stacks: ratio 1",
    )
    legacy = "nn_module" in checkpoint.content
    name = "pytorch_fnet (legacy)" if legacy else "pytorch_fnet"
    questions = questions_for(path, outputs, None, 1, guess=True)
    found = CheckpointInfo(
        *(path, name, network, outputs, None, 1),
        *(_parameters(state), notes, questions),
    )
    return Source(found, state, _fnet_names(levels))


def _fnet_names(levels: int) -> dict[str, str]:
    names: dict[str, str] = {}
    for level in range(levels + 1):
        theirs = _fnet_level(level)
        pairs = []
        for unit in (0, 1):
            ours, more = f"encoder.levels.{level}.units.{unit}", "sub_2conv_more"
            pairs.append((ours, f"{more}.conv{unit + 1}", f"{more}.bn{unit + 1}"))
            if level < levels:
                ours, less = f"decoder.levels.{level}.units.{unit}", "sub_2conv_less"
                pairs.append((ours, f"{less}.conv{unit + 1}", f"{less}.bn{unit + 1}"))
        if level < levels:
            pairs.append((f"encoder.downs.{level}", "conv_down", "bn0"))
            pairs.append((f"decoder.ups.{level}", "convt", "bn1"))
        for ours, convolution, norm in pairs:
            names |= _names(f"{ours}.conv", f"{theirs}.{convolution}")
            names |= _names(f"{ours}.norm", f"{theirs}.{norm}", _NORM)
    return names | _names("head.conv", "conv_out")


_READERS: dict[str, Callable[[Checkpoint, State], Source]] = {
    "encoder_block1.": _read_repmode,
    _BLOCKS: _read_sparsessp,
    "net_recurse.": _read_fnet,
    FCMAE_PREFIX: read_unext,
    UNEXT2_PREFIX: read_unext,
    FNET3D_PREFIX: read_fnet3d,
}
"""Reader by a prefix of some names of the format's weights."""
