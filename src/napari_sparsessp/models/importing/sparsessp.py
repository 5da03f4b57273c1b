"""SparseSSP's ``best.pth`` (Zheng et al., ECCV 2024)."""

from typing import Any

from napari_sparsessp.models.importing.checkpoint import Checkpoint
from napari_sparsessp.models.importing.found import Found, Source
from napari_sparsessp.models.importing.mode_unet import (
    EXPERT,
    ModeUNet,
    Spelling,
    mode_unet_names,
    read_mode_unet,
)
from napari_sparsessp.models.importing.naming import mode_names
from napari_sparsessp.models.importing.questions import questions_for
from napari_sparsessp.models.importing.shapes import (
    Shapes,
    dense_planes,
    dimension,
    parameters,
)
from napari_sparsessp.models.importing.state import State, refusal

MARK = "encoder_layers.blocks."
"""Every SparseSSP state has names that begin so."""

GATES = "dec_before_hook.out_gates."
"""Task-gated convolutions that map folded features; the first is the bottleneck's."""


def read_sparsessp(checkpoint: Checkpoint, state: State) -> Source:
    """Read a SparseSSP checkpoint: the released 3-to-2D network, or 3D or 2D ones.

    Raises
    ------
    ModelError
        A part is missing or has an impossible shape.
    """
    path = checkpoint.path
    # The distributed weight and the code that is said to read it differ in this name.
    state = {
        "bottle." + name.removeprefix("bottle_neck.")
        if name.startswith("bottle_neck.")
        else name: tensor
        for name, tensor in state.items()
    }
    shapes = Shapes(state, path)
    levels = shapes.count(MARK + "{}.conv_more.conv1." + EXPERT)
    spelling = _spelling(levels)
    unet = read_mode_unet(shapes, spelling, levels, path)
    ends = dimension(unet.first), dimension(unet.last)
    gated = f"{GATES}0.{EXPERT}" in shapes
    if gated != (ends == (3, 2)) or ends == (2, 3):
        raise refusal(
            path,
            f"its encoder is {ends[0]}D and its decoder {ends[1]}D "
            f"{'with' if gated else 'without'} gates between them, which no published "
            "network has",
        )
    names = published_names(levels, gated=gated)
    network, ratio, notes = _network(shapes, unet, ends, checkpoint)
    found = Found(
        path,
        "SparseSSP",
        network,
        unet.tasks,
        None,
        ratio,
        parameters(state),
        notes,
        questions_for(path, unet.tasks, None, ratio, depth=network["depth"]),
    )
    return Source(found, state, names)


def published_names(levels: int, *, gated: bool) -> dict[str, str]:
    """Published name of each of our weights.

    Parameters
    ----------
    levels : int
        Without the bottleneck.
    gated : bool
        Whether features are folded by task-gated convolutions, as in the released
        3-to-2D network.
    """
    names = mode_unet_names(_spelling(levels), levels)
    if gated:
        for level in range(levels + 1):
            theirs = f"{GATES}{0 if level == levels else level + 1}"
            names |= mode_names(f"transform.levels.{level}", theirs)
    return names


def _spelling(levels: int) -> Spelling:
    encoder, decoder = "encoder_layers.blocks.", "decoder_layers.blocks."
    last = levels - 1  # the decoder's blocks are counted from the bottleneck up
    return Spelling(
        encoder=lambda level, unit: f"{encoder}{level}.conv_more.conv{unit + 1}",
        decoder=lambda level, unit: f"{decoder}{last - level}.conv_less.conv{unit + 1}",
        down=lambda level: f"{encoder}{level}.conv_down",
        up=lambda level: f"{decoder}{last - level}.convt",
        bottleneck="bottle.conv{}",
        head="out_head",
    )


def _network(
    shapes: Shapes, unet: ModeUNet, ends: tuple[int, int], checkpoint: Checkpoint
) -> tuple[dict[str, Any], int | None, tuple[str, ...]]:
    """Network, ratio where the shapes give it, and what to tell."""
    topology = {(3, 3): "3d", (2, 2): "2d", (3, 2): "3to2d"}[ends]
    depth = dense_planes(unet.levels) if topology == "3d" else unet.last[0]
    planes, inputs = depth, unet.first[1]
    if topology == "2d":
        planes, inputs = unet.first[1], 1
    elif topology == "3to2d":
        folded = shapes.kernel(f"{GATES}1.{EXPERT}")[1]
        planes = folded // unet.encoder_widths[0]
    if not 0 < planes <= depth or depth % planes:
        raise refusal(
            checkpoint.path, f"it makes {depth} planes from {planes}, no whole ratio"
        )
    network: dict[str, Any] = {
        "backbone": "plain",
        "topology": topology,
        "mapping": "prefix" if planes == depth else "none",
        "interpolation": "hold",
        "conditioning": "repmode",
        "inputs": inputs,
        "outputs": unet.tasks,
        "depth": depth,
        "ratio": depth // planes,
        "encoder_widths": unet.encoder_widths,
        "decoder_widths": unet.decoder_widths,
        "kernel": unet.kernel,
        "norm": "batch",
    }
    notes = [
        f"{ends[0]}D encoder with {unet.levels} levels and a bottleneck, "
        f"{', '.join(map(str, unet.encoder_widths))} channels; {ends[1]}D decoder, "
        f"{', '.join(map(str, unet.decoder_widths))} channels",
        f"kernels of {unet.kernel}, mixed for each of {unet.tasks} structures from "
        "five experts",
        f"windows of {depth} dense planes",
    ]
    if topology == "3to2d":
        network["projection"] = "code"
        network["folded_width"] = shapes.kernel(f"{GATES}0.{EXPERT}")[0]
        notes.append("depth is folded into channels by task-gated convolutions")
    if planes != depth:
        return network, depth // planes, (*notes, f"takes {planes} planes for {depth}")
    return network, None, (*notes, "planes in between repeat the one measured below")
