"""What `sparsessp benchmark speed --field` measures: ours, and the published ways."""

import math
from dataclasses import dataclass
from itertools import product
from typing import Literal

from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.prediction.tiling import window_starts

FIELD = (65, 232, 344)
"""Planes, height and width of one field of view on the models' grid (0.29 µm)."""

WINDOW, OVERLAP = (32, 128, 128), 0.5
"""The sliding window of RepMode and SparseSSP, half overlapping on all axes."""

STEP = 16
"""FNet's images are cropped to multiples of this on every axis."""

Shape = tuple[int, int, int]
Kind = Literal["engine", "windows", "whole"]


@dataclass(frozen=True)
class FieldRow:
    """One way to predict the field of view.

    Attributes
    ----------
    name : str
    kind : {"engine", "windows", "whole"}
        Ours end to end; a sliding window; the whole volume in one pass.
    network : NetworkConfig or None
        Of a published way.
    precision : str
        ``auto`` or ``fp32``.
    passes : int
        How often all is done: once for each structure, or once for all.
    window : tuple of int
    overlap : float
    """

    name: str
    kind: Kind
    network: NetworkConfig | None = None
    precision: str = "fp32"
    passes: int = 1
    window: Shape = WINDOW
    overlap: float = OVERLAP

    def pieces(self, shape: Shape) -> int:
        """Count the passes of a network that the field takes; 0 for ours, unknown."""
        if self.kind == "windows":
            return self.passes * len(window_corners(shape, self.window, self.overlap))
        return self.passes if self.kind == "whole" else 0


def window_corners(shape: Shape, window: Shape, overlap: float) -> list[Shape]:
    """First voxels of the windows that cover a volume, the last ones shifted inside."""
    axes = [
        window_starts(length, size, overlap)
        for length, size in zip(shape, window, strict=True)
    ]
    return [(z, y, x) for z, y, x in product(*axes)]


def cropped(shape: Shape, step: int = STEP) -> Shape:
    """Give the largest shape inside, in multiples of `step`."""
    z, y, x = (max(step, length // step * step) for length in shape)
    return z, y, x


def field_rows(structures: int = 12) -> tuple[FieldRow, ...]:
    """All rows; ours, by which the others are divided, is the first.

    Published networks run in float32 and as their authors run them: RepMode and the
    released SparseSSP network in windows of 32×128×128 that overlap by half on all
    axes, FNet on the whole volume; each structure is a pass of its own.
    """
    repmode = {"backbone": "plain", "conditioning": "repmode", "kernel": 5}
    three = NetworkConfig.model_validate(
        {**repmode, "topology": "3d", "outputs": structures}
    )
    released = NetworkConfig.model_validate(
        {
            **repmode,
            "topology": "3to2d",
            "projection": "code",
            "interpolation": "hold",
            "outputs": structures,
        }
    )
    fnet = NetworkConfig(backbone="fnet", topology="3d", outputs=1)
    return (
        FieldRow("ours", "engine", precision="auto"),
        FieldRow("ours, fp32", "engine"),
        FieldRow("FNet", "whole", fnet, passes=structures),
        FieldRow("SparseSSP, released 3-to-2D", "windows", released, passes=structures),
        FieldRow("RepMode 3D", "windows", three, passes=structures),
    )


def needed_mib(row: FieldRow, shape: Shape) -> float:
    """Guess, on the safe side, of the memory that measuring a row takes."""
    if row.network is None:
        return 1024 + 40 * 4 * math.prod(shape) / 2**20
    if row.kind == "whole":
        # Skip, up-sampled, joined, convolved and copies, at full resolution.
        return 1024 + 8 * row.network.encoder_widths[0] * 4 * math.prod(shape) / 2**20
    return 4096
