"""pytorch_fnet's ``model.p``, old and new (Ounkomol et al., Nature Methods 2018)."""

from typing import Any

from napari_sparsessp.errors import ModelError
from napari_sparsessp.models.importing.checkpoint import Checkpoint
from napari_sparsessp.models.importing.found import Found, Source
from napari_sparsessp.models.importing.naming import convolution_names, norm_names
from napari_sparsessp.models.importing.questions import questions_for
from napari_sparsessp.models.importing.shapes import (
    Shapes,
    dense_planes,
    dimension,
    parameters,
)
from napari_sparsessp.models.importing.state import State, refusal

MARK = "net_recurse."
"""Every fnet state has names that begin so."""


def refuse_ensemble(checkpoint: Checkpoint) -> None:
    """An ensemble's file has paths of other files and no weights.

    Raises
    ------
    ModelError
        It is one.
    """
    name = checkpoint.content.get("fnet_model_class")
    if isinstance(name, str) and name.endswith("Ensemble"):
        raise ModelError(
            f"{checkpoint.path} is an ensemble of pytorch_fnet, a list of other files "
            "without weights of its own; import the member models one by one"
        )


def read_fnet(checkpoint: Checkpoint, state: State) -> Source:
    """Read a pytorch_fnet checkpoint, 2D or 3D.

    Raises
    ------
    ModelError
        A part is missing or has an impossible shape.
    """
    path = checkpoint.path
    shapes = Shapes(state, path)
    first = shapes.kernel(f"{_level(0)}.sub_2conv_more.conv1.weight")
    last = shapes.kernel("conv_out.weight")
    levels = 0
    while f"{_level(levels + 1)}.sub_2conv_more.conv1.weight" in shapes:
        levels += 1
    if not 1 <= levels <= 8:
        raise refusal(path, f"it has {levels} levels above its bottleneck")
    encoder = [
        shapes.kernel(f"{_level(level)}.sub_2conv_more.conv1.weight")[0]
        for level in range(levels + 1)
    ]
    decoder = [
        shapes.kernel(f"{_level(level)}.sub_2conv_less.conv1.weight")[0]
        for level in range(levels)
    ]
    if dimension(first) != dimension(last):
        raise refusal(path, "its layers are partly 2D and partly 3D")
    inputs, outputs, depth = _ends(dimension(first), first[1], last[0], levels)
    network: dict[str, Any] = {
        "backbone": "fnet",
        "topology": f"{dimension(first)}d",
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
    found = Found(
        path,
        "pytorch_fnet" if "nn_module" not in checkpoint.content else _LEGACY,
        network,
        outputs,
        None,
        1,
        parameters(state),
        (
            f"{dimension(first)}D U-Net with {levels} levels and a bottleneck, "
            f"{', '.join(map(str, encoder))} channels, kernels of {first[-1]}",
            f"{first[1]} input and {last[0]} output channel"
            + ("s" if last[0] > 1 else ""),
            "trained on dense stacks: ratio 1",
        ),
        questions_for(path, outputs, None, 1, guess=True),
    )
    return Source(found, state, _names(levels))


_LEGACY = "pytorch_fnet (legacy)"


def _level(level: int) -> str:
    return "net_recurse" + ".sub_u" * level


def _ends(
    dimensions: int, channels_in: int, channels_out: int, levels: int
) -> tuple[int, int, int]:
    """Give input channels, structures and planes.

    The channels of a 2D network may be planes: they are where as many go in as come
    out. Otherwise it looks at one plane at a time.
    """
    if dimensions == 3:
        return channels_in, channels_out, dense_planes(levels)
    if channels_in == channels_out:
        return 1, 1, channels_out
    return channels_in, channels_out, 1


def _names(levels: int) -> dict[str, str]:
    names: dict[str, str] = {}
    for level in range(levels + 1):
        theirs = _level(level)
        blocks = {f"encoder.levels.{level}": f"{theirs}.sub_2conv_more"}
        if level < levels:
            blocks[f"decoder.levels.{level}"] = f"{theirs}.sub_2conv_less"
        for our_block, their_block in blocks.items():
            for unit in (0, 1):
                ours = f"{our_block}.units.{unit}"
                names |= convolution_names(
                    f"{ours}.conv", f"{their_block}.conv{unit + 1}", bias=True
                )
                names |= norm_names(f"{ours}.norm", f"{their_block}.bn{unit + 1}")
        if level == levels:
            continue
        for ours, convolution, norm in (
            (f"encoder.downs.{level}", "conv_down", "bn0"),
            (f"decoder.ups.{level}", "convt", "bn1"),
        ):
            names |= convolution_names(
                f"{ours}.conv", f"{theirs}.{convolution}", bias=True
            )
            names |= norm_names(f"{ours}.norm", f"{theirs}.{norm}")
    return names | convolution_names("head.conv", "conv_out", bias=True)
