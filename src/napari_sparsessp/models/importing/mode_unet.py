"""The U-Net of mixture-of-experts convolutions that RepMode and SparseSSP share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_sparsessp.models.importing.naming import mode_names, step_names
from napari_sparsessp.models.importing.shapes import Shapes
from napari_sparsessp.models.importing.state import refusal

EXPERT = "expert_conv5x5_conv"
"""The largest expert: its shape is that of the merged kernel."""


@dataclass(frozen=True)
class Spelling:
    """How a format names the parts of its U-Net; level 0 is full resolution.

    Attributes
    ----------
    encoder, decoder : callable
        Level and unit (0, 1) to the published name.
    down, up : callable
        Level to the published name of the step away from it, and of that to it.
    bottleneck : str
        With ``{}`` for the unit, counted from 1.
    head : str
    """

    encoder: Callable[[int, int], str]
    decoder: Callable[[int, int], str]
    down: Callable[[int], str]
    up: Callable[[int], str]
    bottleneck: str
    head: str


@dataclass(frozen=True)
class ModeUNet:
    """What the shapes say.

    Attributes
    ----------
    levels : int
        Without the bottleneck.
    encoder_widths, decoder_widths : tuple of int
        From full resolution down; the encoder's last is the bottleneck.
    kernel : int
    tasks : int
        Structures T.
    first, last : tuple of int
        Shapes of the first layer's kernel and the head's.
    """

    levels: int
    encoder_widths: tuple[int, ...]
    decoder_widths: tuple[int, ...]
    kernel: int
    tasks: int
    first: tuple[int, ...]
    last: tuple[int, ...]


def read_mode_unet(
    shapes: Shapes, spelling: Spelling, levels: int, path: Path
) -> ModeUNet:
    """Read the architecture off the shapes.

    Raises
    ------
    ModelError
        A part is missing, or its shape is impossible.
    """
    if not 1 <= levels <= 8:
        raise refusal(path, f"its encoder has {levels} levels")
    encoder = [
        shapes.kernel(f"{spelling.encoder(level, 0)}.{EXPERT}")
        for level in range(levels)
    ]
    bottleneck = shapes.kernel(f"{spelling.bottleneck.format(1)}.{EXPERT}")
    decoder = [
        shapes.kernel(f"{spelling.decoder(level, 0)}.{EXPERT}")
        for level in range(levels)
    ]
    head = shapes.kernel(f"{spelling.head}.{EXPERT}")
    if encoder[0][-1] != 5:
        raise refusal(
            path, f"its largest kernel is {encoder[0][-1]}, where RepMode has 5"
        )
    return ModeUNet(
        levels,
        (*(kernel[0] for kernel in encoder), bottleneck[0]),
        tuple(kernel[0] for kernel in decoder),
        encoder[0][-1],
        shapes.columns(f"{spelling.encoder(0, 0)}.gate.weight"),
        encoder[0],
        head,
    )


def mode_unet_names(spelling: Spelling, levels: int) -> dict[str, str]:
    """Published name of each of our weights."""
    names: dict[str, str] = {}
    for unit in (0, 1):
        names |= mode_names(
            f"encoder.levels.{levels}.units.{unit}",
            spelling.bottleneck.format(unit + 1),
        )
        for level in range(levels):
            ours = f"levels.{level}.units.{unit}"
            names |= mode_names(f"encoder.{ours}", spelling.encoder(level, unit))
            names |= mode_names(f"decoder.{ours}", spelling.decoder(level, unit))
    for level in range(levels):
        names |= step_names(f"encoder.downs.{level}", spelling.down(level))
        names |= step_names(f"decoder.ups.{level}", spelling.up(level))
    return names | mode_names("head", spelling.head, norm=False)
