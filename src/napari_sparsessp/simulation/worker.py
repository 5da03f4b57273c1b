"""The process that simulates colonies while another one trains.

Takes lines on standard input: one of JSON that says where the colonies go, then a seed
a line. Answers each with a line of JSON when its files are there. It ends when standard
input is closed, so that none outlives the command that started it, however that ended.
"""

import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from napari_sparsessp.errors import OutputError


def work(job: dict[str, Any], seeds: "queue.Queue[int]") -> None:
    """Simulate one seed after the other, on one thread.

    The number of threads changes the last bits of a colony, and the same seed has to
    give the same colony on any machine of a kind.
    """
    import torch

    from napari_sparsessp.simulation.pool import fill_pool

    torch.set_num_threads(1)
    folder, shape = Path(job["folder"]), tuple(job["shape"])
    while True:
        seed = seeds.get()
        try:
            list(fill_pool(folder, [seed], job["looks"], job["device"], shape))
        except OutputError as error:
            _answer({"seed": seed, "cannot_write": str(error)})
        else:
            _answer({"seed": seed})


def _answer(values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _lines(first: bytes = b"") -> Any:
    """Lines of standard input.

    Not through sys.stdin: a thread that holds it would abort Python's shutdown.
    """
    held = first
    while part := os.read(0, 1024):
        *whole, held = (held + part).split(b"\n")
        yield from whole


def _listen(lines: Any, seeds: "queue.Queue[int]") -> None:
    for line in lines:
        seeds.put(int(line))
    os._exit(0)


def main() -> None:
    """Serve until standard input ends."""
    # Ctrl-C and a cluster's SIGTERM are for the training, which saves and then ends us.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    lines = _lines()
    job = json.loads(next(lines))
    seeds: queue.Queue[int] = queue.Queue()
    threading.Thread(target=_listen, args=(lines, seeds), daemon=True).start()
    work(job, seeds)


if __name__ == "__main__":
    main()
