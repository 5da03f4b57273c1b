"""Recognise networks that VisCy trained: Cytoland's FCMAE and UNeXt2.

A Lightning checkpoint has its weights under ``state_dict`` with the prefix ``model.``;
optimiser, callbacks and loops beside them are left alone. Old files lack the options of
the network, so that all is read off the shapes; only whether the head averages pixels
leaves no trace there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparsessp.models.importing.answers import CheckpointInfo, Question, Source
from napari_sparsessp.models.importing.checkpoint import Checkpoint, State, refusal

if TYPE_CHECKING:
    import torch

PREFIX = "model."
"""Before the names of all weights in a Lightning checkpoint."""

FCMAE_PREFIX, UNEXT2_PREFIX = "encoder.stem.", "encoder_stages."
FNET3D_PREFIX = "_encoder_blocks."
"""Of some weights of each."""

LIGHTNING = "pytorch-lightning_version"
"""A key of every such checkpoint."""

LANDMARKS = ("dna", "cell_membrane")
"""Outputs of the published networks that have two, in order: the nuclei, which
were labelled by their DNA, and the membrane."""

VOXELS = {
    5: ((0.2, 0.1, 0.1), "that of VSCyto3D, as published"),
    7: ((0.25, 0.108, 0.108), "that of VSNeuromast, as published"),
}
"""µm (z, y, x), about, by the planes that a stem takes together, and where it comes
from; that of the 2D network is nowhere stated."""

DYNACELL_VOXEL = (0.174, 0.1494, 0.1494)

SCALING = "median_iqr"

MODALITY = "quantitative phase"

_TITLES = {"fcmae": "FCMAE", "unext2": "UNeXt2"}
_STEM = {"fcmae": "encoder.stem.conv3d", "unext2": "stem.conv"}
_FLAT_STEM = "encoder.stem.conv2d"
_STAGE = {"fcmae": "encoder.stages.{}", "unext2": "encoder_stages.stages_{}"}
_DEPTHWISE = {"fcmae": "dwconv", "unext2": "conv_dw"}
_DECODER = "decoder.decoder_stages.{}.conv"
_HEAD = "head.conv.0.conv.weight"
_MOST_BLOCKS, _MOST_LEVELS = 64, 8


def lightning_weights(content: Mapping[Any, Any]) -> dict[Any, Any] | None:
    """Return the network's own weights of a Lightning checkpoint; None of others."""
    table = content.get("state_dict")
    if LIGHTNING not in content or not isinstance(table, Mapping):
        return None
    return {
        name.removeprefix(PREFIX): tensor
        for name, tensor in table.items()
        if isinstance(name, str) and name.startswith(PREFIX)
    }


def read_unext(checkpoint: Checkpoint, state: State) -> Source:
    """Read a network off its shapes."""
    path = checkpoint.path
    fcmae = any(name.startswith(FCMAE_PREFIX) for name in state)
    backbone = "fcmae" if fcmae else "unext2"
    network = _network(state, backbone, path)
    title, planes = _TITLES[backbone], network["depth"]
    convolves = network["head_form"] == "convolution"
    said = _pooling(checkpoint.content, backbone) if convolves else True
    # Left out, VisCy averages in UNeXt2, and not after the convolution of FCMAE.
    network["head_pool"] = backbone == "unext2" if said is None else said
    notes = (
        f"{title} of {planes} plane{'s' if planes > 1 else ''}, "
        f"{', '.join(map(str, network['encoder_widths']))} channels, "
        f"a head {'with' if convolves else 'without'} a convolution",
        "predicts in interquartile ranges above the median",
    )
    state = _tidied(state, backbone, flat=planes == 1)
    parameters = sum(tensor.numel() for tensor in state.values())
    found = CheckpointInfo(
        *(path, f"VisCy {title}", network, network["outputs"], None, 1),
        *(parameters, notes, _questions(network, asks_pooling=said is None)),
    )
    return Source(found, state, _names(network))


def _network(state: State, backbone: str, path: Path) -> dict[str, Any]:
    """Return the fields of `NetworkConfig`."""

    def shape(name: str, axes: int) -> tuple[int, ...]:
        if name not in state:
            raise refusal(path, f"{name} is missing")
        found = tuple(state[name].shape)
        if len(found) != axes or not all(0 < length <= 2**16 for length in found):
            shown = "×".join(map(str, found)) or "1"
            raise refusal(path, f"{name} has the shape {shown}")
        return found

    def count(name: str) -> int:
        number = 0
        while number < _MOST_BLOCKS and name.format(number) in state:
            number += 1
        return number

    stage, depthwise = _STAGE[backbone], _DEPTHWISE[backbone]
    first = f"{stage}.blocks.0.{depthwise}.weight"
    levels = count(first)
    widths = [shape(first.format(level), 4)[0] for level in range(levels)]
    block = stage + ".blocks.{{}}." + depthwise + ".weight"
    blocks = [count(block.format(level)) for level in range(levels)]
    if levels < 2:
        raise refusal(path, f"it has {levels} levels")
    part, inputs, *stem = shape(f"{_STEM[backbone]}.weight", 5)
    depth = stem[0] * max(1, widths[0] // part)
    fusion = f"{_DECODER}.downsample.1.weight"
    decoder = [shape(fusion.format(level), 4)[0] for level in range(levels - 1)]
    network: dict[str, Any] = {
        "backbone": backbone,
        "topology": "2d" if depth == 1 else "3to2d",
        "inputs": inputs,
        "depth": depth,
        "stem": tuple(stem),
        "encoder_widths": tuple(widths),
        "encoder_blocks": tuple(blocks),
        "decoder_widths": tuple(reversed(decoder)),
        "decoder_blocks": count(_DECODER.format(0) + ".blocks.{}.conv_dw.weight"),
        "head_form": "convolution" if _HEAD in state else "shuffle",
    }
    if _HEAD in state:
        outputs = shape("head.conv.1.weight", 5)[0] // 4
        wide = shape(_HEAD, 5)[0]
        network["head_expansion"] = wide // (4 * max(1, outputs))
    else:
        outputs = decoder[-1] // (depth * stem[2] ** 2)
    return {**network, "outputs": outputs}


def _pooling(content: Mapping[Any, Any], backbone: str) -> bool | None:
    """Return what the file's options say about averaging pixels in the head."""
    name = "head_pool" if backbone == "unext2" else "head_conv_pool"
    said = _options(content).get(name)
    return said if isinstance(said, bool) else None


def _options(content: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return the network's options, where the file has any."""
    options: Any = content
    for key in ("hyper_parameters", "model_config"):
        options = options.get(key) if isinstance(options, Mapping) else None
    return options if isinstance(options, Mapping) else {}


def _questions(
    network: Mapping[str, Any], *, asks_pooling: bool
) -> tuple[Question, ...]:
    published = "as published"
    both = network["outputs"] == len(LANDMARKS)
    voxel, reason = VOXELS.get(network["stem"][0], (None, ""))
    questions = [
        Question("structures", LANDMARKS, True, "nuclei and membrane, as published")
        if both
        else Question("structures"),
        Question("voxel_size", voxel, voxel is not None, reason),
        Question("scaling", SCALING, True, published),
        Question("modality", MODALITY, True, published),
    ]
    if asks_pooling:
        reason = f"VisCy's default for {_TITLES[network['backbone']]}"
        questions.append(Question("head_pool", network["head_pool"], True, reason))
    return tuple(questions)


def read_fnet3d(checkpoint: Checkpoint, state: State) -> Source:
    """Read the 3D U-Net of the DynaCell benchmark off its shapes."""
    path = checkpoint.path
    for name in ("inconv.weight", "outconv.weight"):
        if name not in state or state[name].ndim != 5:
            raise refusal(path, f"{name} is no 3D convolution")
    levels, norm = 0, "_encoder_blocks.{}.0.block1.norm.weight"
    while levels < _MOST_LEVELS and norm.format(levels) in state:
        levels += 1
    first, outputs = state["inconv.weight"], len(state["outconv.weight"])
    widths = tuple(len(first) * 2**level for level in range(levels + 1))
    step = 2**levels
    window = _options(checkpoint.content).get("in_stack_depth")
    fits = isinstance(window, int) and 0 < window <= 1024 and window % step == 0
    network = {
        "backbone": "fnet3d",
        "topology": "3d",
        "inputs": first.shape[1],
        "outputs": outputs,
        "depth": window if fits else max(16, step),
        "encoder_widths": widths,
        "encoder_blocks": (1,) * len(widths),
        "decoder_widths": widths[:-1],
    }
    notes = (
        f"3D U-Net of {levels} levels and a bottleneck, "
        f"{', '.join(map(str, widths))} channels",
    )
    questions = (
        Question("structures"),
        Question(
            "voxel_size", DYNACELL_VOXEL, True, "that of DynaCell's demonstration"
        ),
        Question("scaling", "zscore", True, "as published"),
        Question("modality", MODALITY, True, "as published"),
    )
    fixed = ("running_mean", "running_var", "num_batches_tracked")
    count = sum(one.numel() for name, one in state.items() if not name.endswith(fixed))
    found = CheckpointInfo(
        path, "VisCy FNet3D", network, outputs, None, 1, count, notes, questions
    )
    return Source(found, state, _fnet3d_names(levels))


def _fnet3d_names(levels: int) -> dict[str, str]:
    names: dict[str, str] = {}

    def add(ours: str, theirs: str, *more: str) -> None:
        for part in ("weight", "bias", *more):
            names[f"{ours}.{part}"] = f"{theirs}.{part}"

    def add_pair(ours: str, theirs: str) -> None:
        for k in (0, 1):
            add(f"{ours}.convolutions.{k}", f"{theirs}.block{k + 1}.proj")
            averages = ("running_mean", "running_var", "num_batches_tracked")
            add(f"{ours}.norms.{k}", f"{theirs}.block{k + 1}.norm", *averages)

    add("first", "inconv")
    add("head", "outconv")
    add_pair(f"encoder.{levels}", "bottleneck.block")
    for level in range(levels):
        below = levels - 1 - level  # theirs count from the coarsest up
        add_pair(f"encoder.{level}", f"_encoder_blocks.{level}.0")
        add(f"downs.{level}", f"_downsamples.{level}")
        add(f"ups.{level}", f"_upsamples.{below}")
        add_pair(f"decoder.{level}", f"_decoder_blocks.{below}.0")
    return names


def _tidied(state: State, backbone: str, *, flat: bool) -> State:
    """Drop the stem that is not used, and make matrices of 1×1 convolutions."""
    stem = _STEM[backbone]
    if backbone == "fcmae":
        # Both are in every file; the 3D one serves more planes than one.
        unused = stem if flat else _FLAT_STEM
        state = {k: v for k, v in state.items() if not k.startswith(f"{unused}.")}
    return {
        name: tensor.flatten(1)
        if name.startswith((f"{stem}.w", f"{_FLAT_STEM}.w")) or _is_product(tensor)
        else tensor
        for name, tensor in state.items()
    }


def _is_product(tensor: torch.Tensor) -> bool:
    return tensor.ndim > 2 and set(tensor.shape[2:]) == {1}


def _names(network: Mapping[str, Any]) -> dict[str, str]:
    """Return the published name of each of our tensors."""
    backbone, flat = network["backbone"], network["depth"] == 1
    fcmae = backbone == "fcmae"
    names: dict[str, str] = {}

    def add(ours: str, theirs: str, *parts: str) -> None:
        for part in parts or ("weight", "bias"):
            names[f"{ours}.{part}"] = f"{theirs}.{part}"

    def add_block(ours: str, theirs: str, depthwise: str, norm: str) -> None:
        biased = () if depthwise == "dwconv" else ("bias",)
        add(f"{ours}.depthwise", f"{theirs}.{depthwise}", "weight", *biased)
        add(f"{ours}.norm", f"{theirs}.{norm}")
        for our, their in _BLOCK.items():
            add(f"{ours}.{our}", f"{theirs}.mlp.{their}")

    entry = "encoder.0.entry"
    add(f"{entry}.conv", _FLAT_STEM if fcmae and flat else _STEM[backbone])
    add(f"{entry}.norm", "encoder.stem.norm" if fcmae else "encoder_stages.stem_1")
    for level, blocks in enumerate(network["encoder_blocks"]):
        ours, theirs = f"encoder.{level}", _STAGE[backbone].format(level)
        if level:
            add(f"{ours}.entry.norm", f"{theirs}.downsample.0")
            add(f"{ours}.entry.conv", f"{theirs}.downsample.1")
        for k in range(blocks):
            kind = _DEPTHWISE[backbone], "layernorm" if fcmae else "norm"
            add_block(f"{ours}.blocks.{k}", f"{theirs}.blocks.{k}", *kind)
    last = len(network["decoder_widths"]) - 1
    for level in range(last + 1):
        ours, theirs = f"decoder.{level}", _DECODER.format(last - level)
        add(f"{ours}.entry.norm", f"{theirs}.downsample.0")
        add(f"{ours}.entry.conv", f"{theirs}.downsample.1")
        for k in range(network["decoder_blocks"]):
            kind = "conv_dw", "norm"
            add_block(f"{ours}.blocks.{k}", f"{theirs}.blocks.{k}", *kind)
    if network["head_form"] == "convolution":
        add("head.conv", "head.conv.0.conv")
        add("head.last", "head.conv.1")
        names["head.slope"] = "head.conv.0.adn.A.weight"
    return names


_BLOCK = {"expand": "fc1", "response": "grn", "reduce": "fc2"}
"""Ours to VisCy's, in the second half of a block."""
