"""Sweeps that were done: the same pixels, weights and ratios are not swept again.

What a sweep is known by is what it depends on, not what anything is called.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.gallery import Gallery
    from napari_sparsessp.evaluation.sweep import PlannedRun
    from napari_sparsessp.evaluation.sweep_report import SweepReport

AT_ONCE = 64 * 2**20
"""Bytes that are read at a time."""

MOST = 12
"""Sweeps that are remembered; the pictures of one take some 10 MB."""

# What changes no number.
_NO_MATTER = {"input", "truth", "memory_limit", "scene", "channel", "model", "topology"}


def sweep_key(
    sha256: str, runs: "Sequence[PlannedRun]", check: Callable[[], None] = lambda: None
) -> str:
    """Name a sweep by all that its scores depend on; reads every pixel once.

    Parameters
    ----------
    sha256 : str
        Of the model's weights.
    runs : sequence of PlannedRun
        As `plan_sweep` gives them.
    check : callable
        Called after each part that was read; what it raises stops the reading.

    Returns
    -------
    str
        Hexadecimal digits.

    Raises
    ------
    InputError
        An image is damaged.
    """
    requests = [
        run.plan.request.model_dump(mode="json", exclude=_NO_MATTER) for run in runs
    ]
    first = runs[0]
    content = {
        "model": sha256,
        "requests": requests,
        "stack": image_digest(first.volume, check),
        "truth": {id_: image_digest(one, check) for id_, one in first.truth.items()},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def image_digest(volume: Volume, check: Callable[[], None] = lambda: None) -> str:
    """Name an image by its pixels, their size and their place.

    Parameters
    ----------
    volume : Volume
        ZYX; a part of its planes is in memory at a time.
    check : callable
        As in `sweep_key`.

    Raises
    ------
    InputError
        It is damaged.
    """
    place = (volume.voxel_size, volume.pixel_size, volume.origin, volume.shape)
    digest = hashlib.sha256(repr((*place, str(volume.array.dtype))).encode())
    depth, height, width = volume.shape
    plane = height * width * volume.array.dtype.itemsize
    step = max(1, AT_ONCE // plane)
    whole = slice(None)
    for begin in range(0, depth, step):
        part = volume.region(range(begin, min(begin + step, depth)), whole, whole)
        digest.update(part.tobytes())
        check()
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class SweepRecord:
    """A sweep as it is kept: scores and small pictures, no volume.

    Attributes
    ----------
    report : SweepReport
        `judged` gives its answer by another rule.
    gallery : Gallery or None
        What `html_report.write_page` shows.
    """

    report: "SweepReport"
    gallery: "Gallery | None" = None


class SweepMemory:
    """The last sweeps of a session; those that were used longest ago go first.

    Parameters
    ----------
    most : int
        How many.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[str, SweepRecord] = OrderedDict()

    def get(self, key: str) -> SweepRecord | None:
        """Give a sweep; None where it was not done."""
        if key in self._known:
            self._known.move_to_end(key)
        return self._known.get(key)

    def put(self, key: str, record: SweepRecord) -> None:
        """Remember a sweep, if it is finished."""
        if not record.report.finished:
            return
        self._known[key] = record
        self._known.move_to_end(key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def __len__(self) -> int:
        """Count the sweeps."""
        return len(self._known)
