"""Several colonies at once, each in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from napari_sparsessp.errors import OutputError, PredictionError, SparseSSPError
from napari_sparsessp.simulation.fields import Grid

_OWN_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # Windows


@dataclass(frozen=True)
class ColonyJob:
    """Where colonies go, and what they are like.

    Attributes
    ----------
    folder : str
    shape : tuple of int
        (D, H, W) voxels.
    looks : int
        Bright-field stacks of each.
    device : str
    """

    folder: str
    shape: Grid
    looks: int
    device: str


class ColonyWorkers:
    """Processes that simulate the colonies that are asked for, in this order.

    Each computes on one thread: on a CPU several processes are faster than one with
    several threads, and the colonies do not depend on how many there are.

    Parameters
    ----------
    job : ColonyJob
    count : int
        Processes.
    changed : threading.Condition, optional
        Notified whenever a colony is there, or something went wrong.
    """

    def __init__(
        self, job: ColonyJob, count: int = 1, changed: threading.Condition | None = None
    ) -> None:
        self._job = job
        self._changed = changed or threading.Condition()
        self._waiting: deque[int] = deque()
        self._asked: set[int] = set()
        self._failure: SparseSSPError | None = None
        self._closed = False
        self._processes: list[subprocess.Popen[bytes]] = []
        Path(job.folder).mkdir(parents=True, exist_ok=True)
        self._threads = [
            threading.Thread(target=self._serve, name="colonies", daemon=True)
            for _ in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def ask(self, seed: int) -> None:
        """Have a colony made, unless that is under way."""
        with self._changed:
            if seed not in self._asked:
                self._asked.add(seed)
                self._waiting.append(seed)
                self._changed.notify_all()

    def busy(self, seed: int) -> bool:
        """Whether a colony that was asked for is still to come.

        Raises
        ------
        SparseSSPError
            A colony could not be made or written.
        """
        with self._changed:
            if self._failure is not None:
                raise self._failure
            return seed in self._asked

    def close(self) -> None:
        """End all processes at once."""
        with self._changed:
            self._closed = True
            processes = list(self._processes)
            self._changed.notify_all()
        for process in processes:
            process.kill()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        """Be the thread that speaks with one process."""
        with tempfile.TemporaryFile() as said:
            process = None
            while (seed := self._next()) is not None:
                process = process or self._started(said)
                if process is None:
                    return
                answer = _asked(process, seed)
                with self._changed:
                    self._asked.discard(seed)
                    if answer is None and not self._closed:
                        self._failure = _ended(process, said)
                    elif answer is not None and "cannot_write" in answer:
                        self._failure = OutputError(answer["cannot_write"])
                    self._changed.notify_all()
                if answer is None:
                    break
            if process is not None:
                _reaped(process)

    def _next(self) -> int | None:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            return None if self._closed else self._waiting.popleft()

    def _started(self, said: IO[bytes]) -> subprocess.Popen[bytes] | None:
        with self._changed:
            if self._closed:
                return None
            process = subprocess.Popen(
                [sys.executable, "-m", "napari_sparsessp.simulation.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                # Ctrl-C in a terminal reaches every process of the group.
                start_new_session=True,
                creationflags=_OWN_GROUP,
            )
            self._processes.append(process)
        _write(process, json.dumps(asdict(self._job)))
        return process


def _asked(process: subprocess.Popen[bytes], seed: int) -> dict[str, str] | None:
    """Answer to a seed; None where the process is gone."""
    _write(process, str(seed))
    assert process.stdout is not None
    line = process.stdout.readline()
    return json.loads(line) if line.endswith(b"\n") else None


def _write(process: subprocess.Popen[bytes], line: str) -> None:
    assert process.stdin is not None
    with suppress(OSError):  # it is gone; so will be its answer, which says why
        process.stdin.write(f"{line}\n".encode())
        process.stdin.flush()


def _reaped(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def _ended(process: subprocess.Popen[bytes], said: IO[bytes]) -> PredictionError:
    code = process.wait()
    said.seek(0)
    last = said.read().decode(errors="replace").strip().splitlines()[-1:]
    why = last[0] if last and code > 0 else f"status {code}"
    return PredictionError(
        f"the process that simulates colonies ended ({why}); check that there is "
        "memory for it and run the same command again: it goes on from the last state"
    )
