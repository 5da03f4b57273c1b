"""RepMode's ``model_best_*.p`` (Zhou et al., CVPR 2023)."""

import argparse
from typing import Any

from napari_sparsessp.models.importing.checkpoint import Checkpoint
from napari_sparsessp.models.importing.found import Found, Source
from napari_sparsessp.models.importing.mode_unet import (
    EXPERT,
    Spelling,
    mode_unet_names,
    read_mode_unet,
)
from napari_sparsessp.models.importing.questions import (
    named_structures,
    questions_for,
)
from napari_sparsessp.models.importing.shapes import (
    Shapes,
    dense_planes,
    dimension,
    parameters,
)
from napari_sparsessp.models.importing.state import State, refusal

MARK = "encoder_block1."
"""Every RepMode state has names that begin so."""

SPELLING = Spelling(
    encoder=lambda level, unit: f"encoder_block{level + 1}.conv_more.conv{unit + 1}",
    decoder=lambda level, unit: f"decoder_block{level + 1}.conv_less.conv{unit + 1}",
    down=lambda level: f"encoder_block{level + 1}.conv_down",
    up=lambda level: f"decoder_block{level + 1}.convt",
    bottleneck="bottle_block.conv{}",
    head="conv_out",
)


def read_repmode(checkpoint: Checkpoint, state: State) -> Source:
    """Read a RepMode checkpoint.

    Raises
    ------
    ModelError
        A part is missing or has an impossible shape, or the file names structures in
        a way that cannot be kept.
    """
    path = checkpoint.path
    shapes = Shapes(state, path)
    levels = 0
    while f"{SPELLING.encoder(levels, 0)}.{EXPERT}" in shapes:
        levels += 1
    unet = read_mode_unet(shapes, SPELLING, levels, path)
    if dimension(unet.first) != 3 or dimension(unet.last) != 3 or unet.last[0] != 1:
        raise refusal(path, "its layers are not those of a 3D network of one output")
    network = {
        "backbone": "plain",
        "topology": "3d",
        "mapping": "prefix",
        "interpolation": "linear",
        "conditioning": "repmode",
        "inputs": unet.first[1],
        "outputs": unet.tasks,
        "depth": dense_planes(levels),
        "encoder_widths": unet.encoder_widths,
        "decoder_widths": unet.decoder_widths,
        "kernel": unet.kernel,
        "norm": "batch",
    }
    structures = named_structures(_data_sets(checkpoint.content), unet.tasks, path)
    widths = ", ".join(map(str, unet.encoder_widths))
    found = Found(
        path,
        "RepMode",
        network,
        unet.tasks,
        structures,
        1,
        parameters(state),
        (
            f"3D U-Net with {levels} levels and a bottleneck, {widths} channels",
            f"{unet.kernel}×{unet.kernel}×{unet.kernel} kernels, mixed for each of "
            f"{unet.tasks} structures from five experts",
            "trained on dense stacks: ratio 1",
        ),
        questions_for(path, unet.tasks, structures, 1),
    )
    return Source(found, state, published_names(levels))


def published_names(levels: int) -> dict[str, str]:
    """Published name of each of our weights, of a network with so many levels."""
    return mode_unet_names(SPELLING, levels)


def _data_sets(content: dict[Any, Any]) -> list[Any] | None:
    """The names that RepMode's training was started with, in the order of its tasks."""
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
