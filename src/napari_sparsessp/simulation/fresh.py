"""Colonies that are never the same: a stock that is renewed one by one.

Colony number c has the seed ``seed + c``. After every `every` steps the oldest leaves
the stock and a new one comes, so at step s it holds the numbers n to n + slots − 1 with
n = s // every. That follows from the step alone: a training that was killed goes on
with the stock that it would have had.
"""

import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from napari_sparsessp.simulation.pool import (
    PooledColony,
    open_colony,
    pool_file,
)
from napari_sparsessp.simulation.workers import ColonyJob, ColonyWorkers

AHEAD = 2
"""Colonies made before they are needed; more would only wait on the disk."""

LATE_STEPS = 16
"""So many steps back a stock may still be asked for: batches are cut ahead."""

MOST_AT_ONCE = 8
"""Processes that fill the stock at the start, at most."""

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Renewal:
    """How a stock changes.

    Attributes
    ----------
    seed : int
        Of the first colony.
    slots : int
        Colonies at a time.
    every : int
        Steps after which one of them is replaced.
    """

    seed: int
    slots: int
    every: int

    def seeds(self, step: int) -> range:
        """Seeds of the colonies that the stock holds at a step."""
        first = self.seed + step // self.every
        return range(first, first + self.slots)


class FreshColonies(Generic[Kept]):
    """A stock of colonies in a folder, renewed in the background.

    Parameters
    ----------
    job : ColonyJob
        Its folder is for this stock alone.
    renewal : Renewal
    wrap : callable
        What to make of each colony; called once for each.
    makes : bool
        False where another process makes them in the same folder.
    """

    def __init__(
        self,
        job: ColonyJob,
        renewal: Renewal,
        wrap: Callable[[PooledColony], Kept],
        makes: bool = True,
    ) -> None:
        self._job, self._renewal, self._wrap = job, renewal, wrap
        self._folder = Path(job.folder)
        self._makes = makes
        self._changed = threading.Condition(threading.RLock())
        self._workers: ColonyWorkers | None = None
        self._kept: dict[int, Kept] = {}

    def fill(self, step: int) -> Iterator[int]:
        """Simulate what the stock of a step lacks, several at once.

        Yields
        ------
        int
            How many are there, whenever that changed.

        Raises
        ------
        SparseSSPError
            One cannot be simulated or written.
        """
        if not self._makes:
            return
        seeds = self._renewal.seeds(step)
        self._tidy(seeds)
        yield from fill_at_once(self._job, seeds)

    def at(self, step: int, ended: threading.Event) -> list[Kept]:
        """Give the stock of a step; waits where a colony of it is not ready.

        Parameters
        ----------
        step : int
        ended : Event
            Set where nobody waits any more.

        Raises
        ------
        CancelledError
            `ended` was set first.
        SparseSSPError
            A colony cannot be simulated or written.
        """
        seeds = self._renewal.seeds(step)
        with self._changed:
            self._ask(range(seeds.start, seeds.stop + AHEAD))
            while missing := [seed for seed in seeds if not self._opened(seed)]:
                if ended.is_set():
                    raise CancelledError
                self._ask(missing)
                self._changed.wait(0.1)
            self._forget(seeds.start - LATE_STEPS // self._renewal.every - 1)
            return [self._kept[seed] for seed in seeds]

    def close(self) -> None:
        """End the background process at once; what is there stays."""
        if self._workers is not None:
            self._workers.close()

    def _ask(self, seeds: "range | list[int]") -> None:
        """Have those made that are not there."""
        missing = [s for s in seeds if s not in self._kept and not self._whole(s)]
        if not self._makes or not missing:
            return
        if self._workers is None:
            self._workers = ColonyWorkers(self._job, changed=self._changed)
        for seed in missing:
            if not self._workers.busy(seed):
                self._workers.ask(seed)

    def _opened(self, seed: int) -> bool:
        if seed not in self._kept and self._whole(seed):
            self._kept[seed] = self._wrap(open_colony(self._folder, seed))
        return seed in self._kept

    def _whole(self, seed: int) -> bool:
        return pool_file(self._folder, seed).exists()

    def _forget(self, first: int) -> None:
        """Let go of all colonies before this seed."""
        for seed in [seed for seed in self._kept if seed < first]:
            del self._kept[seed]
            if self._makes:
                self._remove(seed)

    def _remove(self, seed: int) -> None:
        for kind in ("fluorescence", "brightfield"):
            # Windows keeps what is still mapped; the next start removes it.
            with suppress(OSError):
                pool_file(self._folder, seed, kind).unlink(missing_ok=True)

    def _tidy(self, seeds: range) -> None:
        """Remove what a killed training left, and colonies that are of another kind."""
        wanted = (self._job.looks, *self._job.shape)
        for path in self._folder.glob("*.npy"):
            found = re.match(r"(\d+)\.", path.name)
            seed = int(found[1]) if found else -1
            fits = seeds.start <= seed < seeds.stop + AHEAD and self._whole(seed)
            if fits:
                fits = open_colony(self._folder, seed).brightfield.shape == wanted
            if not fits:
                self._remove(seed)
        for path in self._folder.glob(".*.part"):
            with suppress(OSError):
                path.unlink()


def fill_at_once(
    job: ColonyJob, seeds: range, most: int = MOST_AT_ONCE
) -> Iterator[int]:
    """Simulate the colonies that are missing, on as many cores as there are.

    Parameters
    ----------
    job : ColonyJob
    seeds : range
    most : int
        Processes at once, at most. A GPU gets one.

    Yields
    ------
    int
        How many of the seeds are there.

    Raises
    ------
    SparseSSPError
        One cannot be simulated or written.
    """
    folder = Path(job.folder)
    missing = [seed for seed in seeds if not pool_file(folder, seed).exists()]
    if not missing:
        return
    there = len(seeds) - len(missing)
    count = min(_cores(), most, len(missing)) if job.device == "cpu" else 1
    changed = threading.Condition(threading.RLock())
    workers = ColonyWorkers(job, count, changed)
    try:
        for seed in missing:
            workers.ask(seed)
        for seed in missing:
            with changed:
                while workers.busy(seed):
                    changed.wait(0.5)
            there += 1
            yield there
    finally:
        workers.close()


def _cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1
