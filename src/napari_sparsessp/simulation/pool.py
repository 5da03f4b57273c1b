"""Colonies on disk, simulated ahead in processes, so that training does not wait."""

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ThreadPoolExecutor,
    as_completed,
    wait,
)  # fmt: skip
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from napari_sparsessp.errors import OutputError, PredictionError
from napari_sparsessp.files import atomic_write
from napari_sparsessp.simulation.colony import Colony, simulate_colony
from napari_sparsessp.simulation.parameters import Grid
from napari_sparsessp.subprocesses import WorkerFailed, WorkerProcess
from napari_sparsessp.tasks import Cancelled

AHEAD = 2
"""Colonies made before they are needed; more would only wait on the disk."""

LATE_STEPS = 16
"""So many steps back a stock may still be asked for: batches are cut ahead."""

MOST_AT_ONCE = 8
"""Processes that fill the stock at the start, at most."""

Kept = TypeVar("Kept")


@dataclass(frozen=True, eq=False)
class PooledColony:
    """One colony on disk, memory-mapped float16."""

    seed: int
    # (V, D, H, W), V looks, each with mean 0 and standard deviation 1.
    brightfield: np.ndarray
    # (S, D, H, W), each structure z-scored over the whole stack.
    fluorescence: np.ndarray


def save_colony(folder: Path, seed: int, colony: Colony) -> None:
    """Write a colony into a pool; it is there once its last file has its name."""
    flat = colony.fluorescence.flatten(1)
    mean = flat.mean(1)[:, None, None, None]
    std = flat.std(1).clamp_min(1e-6)[:, None, None, None]
    arrays = {
        "brightfield": colony.brightfield,
        "fluorescence": (colony.fluorescence - mean) / std,
    }
    for kind, array in arrays.items():
        path = pool_file(folder, seed, kind)
        with atomic_write(path, "colony") as part, part.open("wb") as file:
            np.save(file, array.to(torch.float16).cpu().numpy())


def pool_file(folder: Path, seed: int, kind: str = "fluorescence") -> Path:
    """Return the file of a colony's array; ``fluorescence`` is written last."""
    return folder / f"{seed}.{kind}.npy"


def fill_pool(
    folder: Path,
    seeds: Iterable[int],
    looks: int = 3,
    device: str = "cpu",
    shape: Grid | None = None,
) -> Iterator[int]:
    """Simulate the seeds that are not in the folder yet; yields each when it is there.

    About 37 MB a colony. Raises OutputError where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size: dict[str, Any] = {} if shape is None else {"shape": shape}
    for seed in seeds:
        if not pool_file(folder, seed).exists():
            colony = simulate_colony(seed, looks=looks, device=device, **size)
            save_colony(folder, seed, colony)
        yield seed


def open_colony(folder: Path, seed: int) -> PooledColony:
    """Map a finished colony into memory."""
    return PooledColony(
        seed,
        np.load(pool_file(folder, seed, "brightfield"), mmap_mode="r"),
        np.load(pool_file(folder, seed), mmap_mode="r"),
    )


def open_pool(folder: Path) -> list[PooledColony]:
    """All finished colonies of the folder, in the order of their seeds."""
    seeds = [int(path.name.split(".")[0]) for path in folder.glob("*.fluorescence.npy")]
    return [open_colony(folder, seed) for seed in sorted(seeds)]


@dataclass(frozen=True)
class ColonyJob:
    """Folder and shape of the colonies to simulate."""

    folder: str
    shape: Grid  # (D, H, W) voxels
    looks: int  # bright-field stacks of each
    device: str


class ColonyWorkers:
    """Processes that simulate colonies, each on one thread.

    On a CPU several processes are faster than one with several threads, and the
    colonies do not depend on how many there are.
    """

    def __init__(self, job: ColonyJob, count: int = 1) -> None:
        self._job = job
        self._threads = ThreadPoolExecutor(count, "colonies")
        self._own = threading.local()  # each thread's process
        self._lock = threading.Lock()
        self._processes: list[WorkerProcess] = []
        self._closed = False
        Path(job.folder).mkdir(parents=True, exist_ok=True)

    def make(self, seed: int) -> Future[None]:
        """Simulate a colony in the background, after those requested before."""
        return self._threads.submit(self._make, seed)

    def close(self) -> None:
        """End all processes at once."""
        with self._lock:
            self._closed = True
        for process in self._processes:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.close()

    def _make(self, seed: int) -> None:
        with self._lock:
            if self._closed:
                raise Cancelled
            if not hasattr(self._own, "worker"):
                module = "napari_sparsessp.simulation.worker"
                self._own.worker = WorkerProcess(module, threads=1)
                self._processes.append(self._own.worker)
        self._own.worker.send({**asdict(self._job), "seed": seed})
        try:
            answer = self._own.worker.receive()
        except WorkerFailed as error:
            raise PredictionError(
                f"the process that simulates colonies ended ({error}); check that "
                "there is memory for it and run the same command again: it resumes "
                "from the last state"
            ) from error
        if answer["cannot_write"]:
            raise OutputError(answer["cannot_write"])


class FreshColonies(Generic[Kept]):
    """A stock of colonies in a folder, renewed one by one in the background.

    Colony number c has the seed ``seed + c``. After every `every` steps the oldest
    leaves the stock and a new one comes, so at step s it holds the numbers n to
    n + slots − 1 with n = s // every. That follows from the step alone: a training that
    was killed resumes with the stock that it would have had. The job's folder is for
    this stock alone; `wrap` is called once for each colony; `makes` is false where
    another process makes them in the same folder.
    """

    def __init__(
        self,
        job: ColonyJob,
        seed: int,
        slots: int,
        every: int,
        wrap: Callable[[PooledColony], Kept],
        makes: bool = True,
    ) -> None:
        self._job, self._wrap = job, wrap
        self._seed, self._slots, self._every = seed, slots, every
        self._folder = Path(job.folder)
        self._makes = makes
        self._lock = threading.Lock()
        self._workers: ColonyWorkers | None = None
        self._coming: dict[int, Future[None]] = {}
        self._kept: dict[int, Kept] = {}

    def fill(self, step: int) -> Iterator[int]:
        """Simulate what the stock of a step lacks, several at once."""
        if not self._makes:
            return
        seeds = self._seeds(step)
        self._tidy(seeds)
        yield from fill_at_once(self._job, seeds)

    def at(self, step: int, ended: threading.Event) -> list[Kept]:
        """Return the stock of a step; wait for it, or raise Cancelled once `ended`."""
        seeds = self._seeds(step)
        while True:
            with self._lock:
                for seed in range(seeds.start, seeds.stop + AHEAD):
                    self._request(seed)
                missing = [seed for seed in seeds if seed not in self._kept]
                if not missing:
                    first = seeds.start - LATE_STEPS // self._every - 1
                    for seed in [seed for seed in self._kept if seed < first]:
                        del self._kept[seed]
                        if self._makes:
                            self._remove(seed)
                    return [self._kept[seed] for seed in seeds]
                coming = [self._coming[seed] for seed in missing if self._makes]
            if ended.is_set():
                raise Cancelled
            if not self._makes:
                ended.wait(0.1)
            for future in wait(coming, 0.1, FIRST_COMPLETED).done:
                future.result()

    def _seeds(self, step: int) -> range:
        first = self._seed + step // self._every
        return range(first, first + self._slots)

    def close(self) -> None:
        """End the background process at once; what is there stays."""
        if self._workers is not None:
            self._workers.close()

    def _request(self, seed: int) -> None:
        """Open a colony that is there, or have it simulated."""
        if seed in self._kept:
            return
        if pool_file(self._folder, seed).exists():
            self._coming.pop(seed, None)
            self._kept[seed] = self._wrap(open_colony(self._folder, seed))
        elif self._makes and seed not in self._coming:
            if self._workers is None:
                self._workers = ColonyWorkers(self._job)
            self._coming[seed] = self._workers.make(seed)

    def _remove(self, seed: int) -> None:
        for kind in ("fluorescence", "brightfield"):
            # Windows keeps what is still mapped; the next start removes it.
            with suppress(OSError):
                pool_file(self._folder, seed, kind).unlink(missing_ok=True)

    def _tidy(self, seeds: range) -> None:
        """Remove what a killed training left, and colonies that are of another kind."""
        wanted = (self._job.looks, *self._job.shape)
        for path in self._folder.glob("*.npy"):
            number = re.match(r"(\d+)\.", path.name)
            seed = int(number[1]) if number else -1
            if not (
                seeds.start <= seed < seeds.stop + AHEAD
                and pool_file(self._folder, seed).exists()
                and open_colony(self._folder, seed).brightfield.shape == wanted
            ):
                self._remove(seed)
        for path in self._folder.glob(".*.part"):
            with suppress(OSError):
                path.unlink()


def fill_at_once(
    job: ColonyJob, seeds: range, most: int = MOST_AT_ONCE
) -> Iterator[int]:
    """Simulate what is missing, on all cores; yield how many are there."""
    folder = Path(job.folder)
    missing = [seed for seed in seeds if not pool_file(folder, seed).exists()]
    if not missing:
        return
    there = len(seeds) - len(missing)
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    count = min(cores, most, len(missing)) if job.device == "cpu" else 1
    workers = ColonyWorkers(job, count)
    try:
        for future in as_completed([workers.make(seed) for seed in missing]):
            future.result()
            there += 1
            yield there
    finally:
        workers.close()
