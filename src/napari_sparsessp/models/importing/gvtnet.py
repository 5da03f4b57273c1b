"""Read GVTNets' checkpoints, which TensorFlow wrote, as networks of ours.

Wang, Xie and Ji, Nature Machine Intelligence 2021. Widths are read off the shapes; of
74 MB two thirds are the optimiser's, which are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_sparsessp.models.importing.answers import (
    CheckpointInfo,
    Question,
    Source,
    questions_for,
)
from napari_sparsessp.models.importing.checkpoint import COUNTER, refusal
from napari_sparsessp.models.importing.tensorflow import (
    Entry,
    read_index,
    read_tensors,
)
from napari_sparsessp.structures import CATALOGUE, structure_id

if TYPE_CHECKING:
    import torch

FORMAT = "GVTNet"
FIRST, LAST = "first_convolution/kernel", "output_convolution/kernel"

TRAINING = ("/Adam", "/Adam_1")
"""Endings of the optimiser's tensors."""

COUNTERS = ("beta1_power", "beta2_power", "global_step")

DEEPEST = 8
"""Levels; the published networks have four."""

DIC = "dic_lamin_b1"
"""The only data set that is not of bright-field images."""


def read_gvtnet(index: Path) -> Source:
    """Give each weight of a checkpoint its place; `index` names the checkpoint."""
    table = read_index(index)
    if FIRST not in table or LAST not in table:
        raise refusal(
            index,
            f"it is a TensorFlow checkpoint of {len(table)} tensors, and no network of "
            "TensorFlow's but GVTNet is known",
        )
    widths = _widths(table, index)
    names = _names(len(widths))
    wanted = {name for name in names.values() if not name.endswith(COUNTER)}
    for name in table:
        if not (name in wanted or name in COUNTERS or name.endswith(TRAINING)):
            raise refusal(index, f"{name} has no place in a {FORMAT}")
    files = {table[name].file for name in wanted if name in table}
    if len(files) > 1:
        raise refusal(index, "its weights are spread over several data files")
    tensors = read_tensors(index, lambda name: name in wanted)
    outputs = table[LAST].shape[-1]
    network = {
        "backbone": "gvt",
        "topology": "3d",
        "mapping": "prefix",
        "interpolation": "linear",
        "conditioning": "multihead",
        "inputs": table[FIRST].shape[3],
        "outputs": outputs,
        "depth": max(32, 2 ** (len(widths) - 1)),
        "encoder_widths": widths,
        "encoder_blocks": (1,) * len(widths),
        "decoder_widths": widths[:-1],
        "norm": "batch",
    }
    data_set, sure = _data_set(index)
    notes = [
        f"3D U-Net of {len(widths)} levels, {', '.join(map(str, widths))} channels, "
        "with attention to the whole stack",
        "trained on dense stacks: ratio 1",
    ]
    if data_set == DIC:
        notes.append("its folder is that of DIC images; say so with --modality DIC")
    found = CheckpointInfo(
        *(files.pop(), FORMAT, network, outputs, None, 1),
        sum(one.size for name, one in tensors.items() if "/moving_" not in name),
        tuple(notes),
        _questions(index, outputs, data_set, sure=sure),
        suggested_id=f"gvtnet-{data_set.replace('_', '-')}" if data_set else "gvtnet",
    )
    return Source(found, _as_torch(tensors), names)


def _widths(table: Mapping[str, Entry], index: Path) -> tuple[int, ...]:
    """Channels from full resolution down."""
    kernels, level = [FIRST], 2
    while (name := f"{_encoder(level)}/convolution_1/kernel") in table:
        kernels.append(name)
        level += 1
    shapes = [table[name].shape for name in kernels]
    odd = [shape for shape in shapes if len(shape) != 5 or not 0 < shape[-1] <= 4096]
    if odd or len(table[LAST].shape) != 5 or not 2 <= len(shapes) <= DEEPEST:
        raise refusal(index, f"its layers are not those of a {FORMAT}")
    return tuple(shape[-1] for shape in shapes)


def _encoder(level: int) -> str:
    return f"encoding_block_{level}/downsampling"


def _names(levels: int) -> dict[str, str]:
    """Return the published name of each of our weights."""
    names = {"first.weight": FIRST}
    names |= _unit("residual", "encoding_block_1/res_0")
    for level in range(levels - 1):
        down, block = f"downs.{level}", f"decoding_block_{level + 1}"
        names |= _unit(down, _encoder(level + 2))
        names[f"{down}.shortcut.weight"] = (
            f"{_encoder(level + 2)}/projection_shortcut/kernel"
        )
        names[f"ups.{level}.weight"] = (
            f"{block}/upsampling/transposed_convolution/kernel"
        )
        names |= _unit(f"decoder.{level}", f"{block}/res_0")
    bottom = "bottom_block/block_0"
    names |= _norm("attention.norm", f"{bottom}/batch_norm")
    for ours, theirs in {"query": "q", "key": "k", "value": "v", "out": "out"}.items():
        names |= _layer(f"attention.{ours}", f"{bottom}/attention/{theirs}_transform")
    names |= _norm("norm", "batch_norm_output")
    return names | _layer("head", "output_convolution")


def _unit(ours: str, theirs: str) -> dict[str, str]:
    names: dict[str, str] = {}
    for number in (1, 2):
        names |= _norm(f"{ours}.norm{number}", f"{theirs}/batch_norm_{number}")
        names[f"{ours}.conv{number}.weight"] = f"{theirs}/convolution_{number}/kernel"
    return names


def _norm(ours: str, theirs: str) -> dict[str, str]:
    parts = {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
        # Not in the file: torch alone counts.
        COUNTER: COUNTER,
    }
    return {f"{ours}.{our}": f"{theirs}/{their}" for our, their in parts.items()}


def _layer(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.weight": f"{theirs}/kernel", f"{ours}.bias": f"{theirs}/bias"}


def _as_torch(tensors: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Turn kernels (z, y, x, in, out) round; transposed ones are (z, y, x, out, in)."""
    import torch

    turned = {}
    with torch.inference_mode(False):
        for name, tensor in tensors.items():
            order = (4, 3, 0, 1, 2) if tensor.ndim == 5 else tuple(range(tensor.ndim))
            # In memory that can be written to, as torch wants it.
            turned[name] = torch.from_numpy(tensor.transpose(order).copy())
    return turned


def _data_set(index: Path) -> tuple[str, bool]:
    """Return the data set in ``…/SET/models/NAME/…``, or any that a folder names.

    Also whether the folders are laid out as published.
    """
    folders = [folder.name for folder in index.absolute().parents]
    for inner, name in zip(["", *folders], folders, strict=False):
        if inner == "models" and structure_id(name) in CATALOGUE or name == DIC:
            return name, True
    for name in folders[:3]:
        if structure_id(name) in CATALOGUE:
            return name, False
    return "", False


def _questions(
    index: Path, outputs: int, data_set: str, *, sure: bool
) -> tuple[Question, ...]:
    questions = questions_for(index, outputs, None, 1)
    if outputs > 1 or not data_set:
        return questions
    structure = structure_id("lamin_b1" if data_set == DIC else data_set)
    named = Question("structures", (structure,), sure, "in the folder's name")
    return tuple(named if one.name == "structures" else one for one in questions)
