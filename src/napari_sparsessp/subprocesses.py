"""Talk with a worker process in lines of JSON: one protocol for every worker.

The parent starts ``python -m MODULE`` with `WorkerProcess` and sends one value a line;
the module calls `serve` and answers with one value a line. A worker ends when its
standard input is closed, so that none outlives the process that started it, however
that ended.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Any

_OWN_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # Windows


class WorkerFailed(Exception):
    """A worker process ended early; the text says how, in one line."""


class WorkerProcess:
    """A fresh Python process that answers in lines of JSON.

    Ctrl-C in a terminal does not reach it: it is for the parent, which ends it. The
    `module` calls `serve`; `threads` are for torch and the libraries below it.

    Examples
    --------
    >>> with WorkerProcess("my_package.worker", threads=1) as worker:  # doctest: +SKIP
    ...     worker.send({"seed": 1})
    ...     answer = worker.receive()
    """

    def __init__(self, module: str, threads: int) -> None:
        number = str(threads)
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "OMP_NUM_THREADS": number, "MKL_NUM_THREADS": number},
            start_new_session=True,
            creationflags=_OWN_GROUP,
        )
        self._answers: queue.Queue[bytes | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, value: Any) -> None:
        """Write one value; a worker that is gone shows in the next `receive`."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(json.dumps(value).encode() + b"\n")
            self._process.stdin.flush()

    def receive(self, tick: Callable[[float], None] | None = None) -> Any:
        """Return the next answer, or None where the worker ended as it should.

        `tick` is called about once a second, with the seconds waited so far, and may
        raise. WorkerFailed: the worker ended early.
        """
        began = time.monotonic()
        while True:
            if tick is not None:
                tick(time.monotonic() - began)
            try:
                line = self._answers.get(timeout=1.0 if tick is not None else None)
            except queue.Empty:
                continue
            if line is not None:
                return json.loads(line)
            self._answers.put(None)  # for whoever asks again
            if self._process.wait():
                raise WorkerFailed(self._reason())
            return None

    def kill(self) -> None:
        """End the process at once; `receive` in another thread raises."""
        self._process.kill()

    def close(self) -> None:
        """End the process and free what it held."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._errors.close()

    def _read(self) -> None:
        out = self._process.stdout
        assert out is not None
        with suppress(ValueError):  # closed meanwhile
            for line in out:
                if line.endswith(b"\n"):
                    self._answers.put(line)
        self._process.wait()
        self._answers.put(None)

    def _reason(self) -> str:
        code = self._process.returncode
        if code < 0:
            return f"stopped by signal {-code}; there may have been too little memory"
        self._errors.seek(0)
        last = self._errors.read().decode(errors="replace").strip().splitlines()[-1:]
        return last[0] if last else f"ended with status {code}"


def serve(answer: Callable[[Any], Iterator[Any]]) -> None:
    """Answer the parent's values in turn until standard input is closed.

    `answer` is called in the main thread with each value; it yields any number.
    """
    # Ctrl-C and a cluster's SIGTERM are for the parent, which saves and ends us.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    values: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_listen, args=(values,), daemon=True).start()
    while True:
        for reply in answer(values.get()):
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()


def _listen(values: queue.Queue[Any]) -> None:
    # Not through sys.stdin: a thread that holds it would abort Python's shutdown.
    held = b""
    while part := os.read(0, 65536):
        *whole, held = (held + part).split(b"\n")
        for line in whole:
            values.put(json.loads(line))
    os._exit(0)
