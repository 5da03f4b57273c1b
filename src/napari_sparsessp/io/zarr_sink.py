"""An OME-Zarr that grows column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparsessp.io.caption import Caption
from napari_sparsessp.io.ome_zarr import CHUNK, create_levels, image_attributes
from napari_sparsessp.io.pyramid import fill_levels

if TYPE_CHECKING:
    from napari_sparsessp.prediction.plan import Plan

_CHUNK_VOXELS = CHUNK[0] * CHUNK[1] * CHUNK[2]
_FEWEST_PLANES = 8
_SMALLEST_SIDE = 64
"""Pixels of a chunk; smaller ones make more files than voxels are worth."""


class ZarrImage:
    """The image of one output while it is made.

    Parameters
    ----------
    folder : Path
        Where it is made.
    plan : Plan
    ngff : {"0.5", "0.4"}
    steps : tuple of int
        (z, y, x) steps on which what is written begins and ends; chunks keep to them
        where they can, so that none is written twice.
    """

    name = "image.zarr"

    def __init__(
        self, folder: Path, plan: Plan, ngff: str, steps: tuple[int, int, int]
    ) -> None:
        self.path = folder / self.name
        self._plan, self._ngff = plan, ngff
        self._levels: list[Any] = []
        self._chunk = chunk_for(steps)

    @property
    def array(self) -> Any:
        """The finest level."""
        return self._levels[0]

    def create(self) -> None:
        """Make it, empty."""
        import zarr

        group = zarr.create_group(self.path, zarr_format=3 if self._new else 2)
        plan = self._plan
        self._levels = create_levels(
            group, plan.output_shape, plan.output_axes, self._chunk
        )

    def open(self) -> None:
        """Go on with the one there is."""
        import zarr

        # What a killed process was writing; no reader knows these names.
        for left_over in self.path.rglob("*.partial"):
            left_over.unlink()
        group = zarr.open_group(self.path, mode="r+")
        self._levels = [group[str(number)] for number in range(len(list(group)))]

    def finish(self, provenance: Mapping[str, Any] | None, name: str) -> Path:
        """Make the coarser levels and say what it shows; give where it is."""
        import zarr

        fill_levels(self._levels)
        group = zarr.open_group(self.path, mode="r+")
        caption = Caption.of(self._plan, provenance, name)
        group.attrs.update(image_attributes(self._levels, caption, self._ngff))
        return self.path

    @property
    def _new(self) -> bool:
        return self._ngff == "0.5"


def chunk_for(steps: Sequence[int]) -> tuple[int, int, int]:
    """Choose a chunk that ends where what is written ends.

    Parameters
    ----------
    steps : sequence of int
        (z, y, x) steps of what is written.

    Returns
    -------
    tuple of int
        (z, y, x); about as many voxels as other images of ours have at most.
    """
    y, x = (
        _side(step, usual) for step, usual in zip(steps[1:], CHUNK[1:], strict=True)
    )
    room = max(1, _CHUNK_VOXELS // (y * x))
    z = steps[0] * -(-_FEWEST_PLANES // steps[0])
    return min(z, room), y, x


def _side(step: int, usual: int) -> int:
    """Give the largest part of a step that is no larger than usual, or about that."""
    parts = [step // n for n in range(1, step + 1) if step % n == 0]
    fitting = [part for part in parts if part <= usual]
    best = max(fitting)
    if best >= _SMALLEST_SIDE:
        return best
    if step < _SMALLEST_SIDE:
        return usual // step * step
    return step if step <= 2 * usual else usual
