"""What a stopped run leaves, so that the same call goes on where it ended."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_sparsessp.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from napari_sparsessp.metrics import PixelSums
    from napari_sparsessp.prediction.canvas import Canvas
    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.prediction.report import Scaling
    from napari_sparsessp.prediction.tiling import TileSize


@dataclass(eq=False)
class TimePoint:
    """One time point that is under way, or done.

    Attributes
    ----------
    canvas : Canvas
        What is blended so far.
    left : list of int
        Tiles, as indices into the plan's, that are not begun.
    sums : dict
        Structure id to the running sums against its truth.
    begun : tuple or None
        A tile of several passes that not all were done of: its index, its share of
        the mean, and the channels that are blended already.
    """

    canvas: "Canvas"
    left: list[int]
    sums: "dict[str, PixelSums]" = field(default_factory=dict)
    begun: "tuple[int, np.ndarray, set[int]] | None" = None

    @property
    def finished(self) -> bool:
        """Whether every tile is blended."""
        return not self.left and self.begun is None


@dataclass(eq=False)
class Progress:
    """Give a new one to `predict_stream`, and the same again to go on.

    It holds the voxels and their weights; neither the network nor the input. The
    result is that of a run that nobody stopped.

    Attributes
    ----------
    done, total : int
        Tiles; both 0 before the first run.
    buffer : ndarray or None
        Where the voxels are.
    tile_size : TileSize or None
        How the work was cut, which memory may have had a say in.
    """

    done: int = 0
    total: int = 0
    buffer: "np.ndarray | None" = None
    tile_size: "TileSize | None" = None
    points: dict[int, TimePoint] = field(default_factory=dict)
    scalings: "dict[int, Scaling]" = field(default_factory=dict)
    scores: dict[int, dict[str, dict[str, Any]]] = field(default_factory=dict)
    _work: Any = None

    def check(
        self, plan: "Plan", sha256: str, buffer: "np.ndarray | None"
    ) -> "np.ndarray | None":
        """See that a call goes on with the same work; give the buffer to use.

        Raises
        ------
        InputError
            The request, the model, the image or the buffer is another one.
        """
        work = (plan.request, sha256, plan.volume.shape, plan.tiles, plan.channels)
        if self._work is None:
            self._work, self.total = work, plan.total_tiles
            self.tile_size = plan.tile_size
        elif self._work != work or (
            buffer is not None and self.buffer is not None and buffer is not self.buffer
        ):
            raise InputError(
                "the unfinished prediction is of another request, model or image; "
                "start over with a new one"
            )
        return buffer if self.buffer is None else self.buffer
