"""Pictures and movies of what the canvas shows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_sparsessp.files import atomic_write
from napari_sparsessp.ui.layers.viewport import go_to, layer_index
from napari_sparsessp.ui.tasks import TaskProgress

_FRAME_MS = 150  # of a GIF
_WAIT_MS = 10  # for slices that are still being read


class Filming(QObject):
    """Moves one slider of a viewer and takes a picture at each of its places."""

    progressed = Signal(float, str, object)
    stopped = Signal()  # by the user, or with the layer

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self._step)

    @property
    def busy(self) -> bool:
        """Whether pictures are being taken."""
        return self._timer.isActive()

    def picture(self) -> np.ndarray:
        """Return what the canvas shows, (height, width, 3) uint8."""
        shot = self._viewer.screenshot(canvas_only=True, flash=False)
        return np.asarray(shot)[..., :3]

    def start(
        self, layer: Any, axis: int, done: Callable[[list[np.ndarray]], None]
    ) -> None:
        """Film along an axis of a layer; `done` takes the pictures."""
        self._layer, self._axis, self._done = layer, axis, done
        self._index = layer_index(self._viewer, layer)
        self._before = int(self._index[axis])
        self._frames: list[np.ndarray] = []
        self._next(0)

    def cancel(self) -> None:
        """Stop, and show again what was shown."""
        if self.busy:
            self._end()
            self.stopped.emit()

    def _next(self, place: int) -> None:
        self._index[self._axis] = place
        go_to(self._viewer, self._layer, self._index, self._axis)
        self._timer.start(_WAIT_MS)

    def _step(self) -> None:
        if self._layer not in self._viewer.layers:
            self.stopped.emit()
            return
        if not all(one.loaded for one in self._viewer.layers if one.visible):
            self._timer.start(_WAIT_MS)
            return
        self._frames.append(self.picture())
        count, done = self._layer.data.shape[self._axis], len(self._frames)
        self.progressed.emit(done / count, f"Picture {done} of {count}…", None)
        if done < count:
            self._next(done)
        else:
            self._end()
            self._done(self._frames)

    def _end(self) -> None:
        self._timer.stop()
        self._index[self._axis] = self._before
        go_to(self._viewer, self._layer, self._index, self._axis)


def write_pictures(
    frames: Sequence[np.ndarray], path: Path, axis: str, progress: TaskProgress
) -> Path:
    """Write one picture or a movie, by the ending of its name; return the path.

    `axis` is that of a TIFF's pictures, ``Z`` or ``T``.
    """
    import tifffile
    from PIL import Image

    progress(0.0, what=f"Writing {path.name}…")
    with atomic_write(path, "picture") as part:
        if path.suffix.lower() in (".tif", ".tiff"):
            metadata = {"axes": f"{axis}YXS"}
            tifffile.imwrite(part, np.stack(frames), imagej=True, metadata=metadata)
        else:
            first, *others = map(Image.fromarray, frames)
            kind = path.suffix[1:].upper()
            movie: dict[str, Any] = {"duration": _FRAME_MS, "loop": 0}
            more = {"save_all": True, "append_images": others, **movie}
            first.save(part, kind, **(more if kind == "GIF" else {}))
    return path
