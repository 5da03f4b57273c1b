"""A process that has nothing but the one network that it measures."""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any


class WorkerFailedError(Exception):
    """The process that measures ended early."""


def ask_worker(
    job: dict[str, Any], threads: int, tick: Callable[[float], None]
) -> Iterator[dict[str, Any]]:
    """Answers of a fresh process; it is gone when this is left, however.

    Parameters
    ----------
    job : dict
        What `napari_sparsessp.evaluation.speed_worker` shall do.
    threads : int
        For torch.
    tick : callable
        Called about once a second with the seconds so far.

    Yields
    ------
    dict

    Raises
    ------
    WorkerFailedError
        It ended early; says how.
    """
    command = [sys.executable, "-m", "napari_sparsessp.evaluation.speed_worker"]
    number = str(threads)
    environment = {**os.environ, "OMP_NUM_THREADS": number, "MKL_NUM_THREADS": number}
    began = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env=environment,
        )
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(job).encode() + b"\n")
            process.stdin.flush()  # and left open: the worker ends when it closes
            for line in _lines(process, lambda: tick(time.monotonic() - began)):
                yield json.loads(line)
        except BrokenPipeError:
            pass  # it ended before it listened; its status says why
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdout, process.stdin):
                if pipe is not None:
                    _close(pipe)
        if process.returncode:
            said.seek(0)
            raise WorkerFailedError(_reason(process.returncode, said.read()))


def _lines(
    process: subprocess.Popen[bytes], tick: Callable[[], None]
) -> Iterator[bytes]:
    """Lines that a process writes, with a tick about every second meanwhile."""
    lines: queue.Queue[bytes | None] = queue.Queue()
    out = process.stdout
    assert out is not None

    def read() -> None:
        for line in out:
            lines.put(line)
        process.wait()
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        tick()
        try:
            line = lines.get(timeout=1.0)
        except queue.Empty:
            continue
        if line is None:
            return
        yield line


def _close(pipe: Any) -> None:
    with suppress(OSError):  # its other end is gone
        pipe.close()


def _reason(code: int, said: bytes) -> str:
    """Why the process ended, in one line."""
    if code < 0:
        return f"stopped by signal {-code}; there may have been too little memory"
    last = said.decode(errors="replace").strip().splitlines()[-1:]
    return last[0] if last else f"ended with status {code}"
