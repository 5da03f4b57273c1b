"""What the file of a prediction says beside its voxels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from napari_sparsessp.structures import colours_of

if TYPE_CHECKING:
    from napari_sparsessp.prediction.plan import Plan


@dataclass(frozen=True)
class Caption:
    """The same for every format.

    Attributes
    ----------
    axes : str
        ``"CZYX"`` or ``"TCZYX"``.
    channel_names : sequence of str
        One for each channel.
    voxel_size : tuple of float or None
        (z, y, x) in µm; without it no unit is written.
    origin : tuple of float
        (z, y, x) of the centre of voxel (0, 0, 0) in µm.
    colours : sequence of str
        ``"#rrggbb"`` for each channel, or none.
    provenance : mapping, optional
        What `read_provenance` gives back; must be JSON.
    name : str
        The image's name; that of the file where it is empty.
    """

    axes: str
    channel_names: Sequence[str]
    voxel_size: tuple[float, float, float] | None
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    colours: Sequence[str] = ()
    provenance: Mapping[str, Any] | None = None
    name: str = ""

    @classmethod
    def of(cls, plan: Plan, provenance: Mapping[str, Any] | None, name: str) -> Self:
        """Give that of what a plan predicts."""
        return cls(
            plan.output_axes,
            plan.channels,
            plan.voxel_size,
            plan.origin,
            colours_of(plan.channels),
            provenance,
            name,
        )
