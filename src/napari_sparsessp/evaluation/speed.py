"""How fast the networks are and what they need, each in a fresh process.

One after the other, so that none slows another one down and each peak of memory is its
own. Nothing here loads torch.
"""

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from napari_sparsessp import __version__
from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.fresh_process import WorkerFailedError
from napari_sparsessp.evaluation.fresh_process import ask_worker as _ask_worker
from napari_sparsessp.evaluation.machine import describe_machine
from napari_sparsessp.evaluation.speed_rows import RATIO, SpeedRow
from napari_sparsessp.evaluation.speed_worker import PATIENCE, REPEATS
from napari_sparsessp.networks.config import BACKBONES_2D
from napari_sparsessp.prediction.memory import (
    PROCESS_BYTES,
    activation_bytes,
    merged_bytes,
)

SCHEMA = 1
START_SECONDS = 5.0
"""Of a fresh process until its network is built, for the time that is left."""

GUESSED_RATE = 0.04
"""Seconds for each GMAC on one core, until some are measured."""

MERGED_BYTES = 2 * 2**30
"""Merged networks are kept up to this size (`networks.merging`)."""


@dataclass(frozen=True)
class SpeedOptions:
    """What to measure and how.

    Attributes
    ----------
    size : tuple of int
        Height and width of the patch of 32 dense planes.
    threads : int
    precision : {"fp32", "bf16"}
    repeats : int
        A time is the best of at least so many passes.
    quick : bool
        Written down only.
    """

    size: tuple[int, int] = (128, 128)
    threads: int = 1
    precision: str = "fp32"
    repeats: int = REPEATS
    quick: bool = False


@dataclass(frozen=True)
class SpeedProgress:
    """Where the benchmark is.

    Attributes
    ----------
    row, rows : int
        Number of the row that is measured, from 1, and how many there are.
    name : str
    seconds : float
        Since this row began.
    left : float
        Seconds that the rest will take, a guess.
    """

    row: int
    rows: int
    name: str
    seconds: float
    left: float


def measure_speed(
    rows: Sequence[SpeedRow],
    options: SpeedOptions,
    progress: Callable[[SpeedProgress], None] = lambda _: None,
) -> Generator[dict[str, Any], None, None]:
    """Measure row after row.

    Parameters
    ----------
    rows : sequence of SpeedRow
    options : SpeedOptions
    progress : callable
        Called about once a second.

    Yields
    ------
    dict
        The whole result so far, ready for JSON, after each row; ``finished`` in the
        last one. Stopping the generator stops the process that measures.

    Raises
    ------
    InputError
        The process that counts fails; says how.
    """
    began = time.monotonic()
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "package": __version__,
        "finished": False,
        "machine": describe_machine(),
        "options": {
            "size": [32, *options.size],
            "ratio": RATIO,
            "threads": options.threads,
            "precision": options.precision,
            "repeats": options.repeats,
            "patience": PATIENCE,
            "quick": options.quick,
        },
        "rows": [],
    }
    entries = _counted(rows, options, result["machine"], progress)
    clock = _Clock(entries, options)
    for number, (row, entry) in enumerate(zip(rows, entries, strict=True)):

        def tick(seconds: float, number: int = number, name: str = row.name) -> None:
            left = clock.left(number, seconds)
            progress(SpeedProgress(number + 1, len(rows), name, seconds, left))

        if "skipped" not in entry:
            entry |= _measured(row, entry, options, tick)
        result["rows"].append(entry)
        result["seconds"] = round(time.monotonic() - began, 1)
        result["claims"] = claims(result["rows"])
        result["finished"] = number == len(rows) - 1
        yield {**result, "rows": list(result["rows"])}


def claims(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Compare the ratios of twelve structures to one with what is promised."""
    found = []
    for bound in (1.15, 2.0):
        known = [e for e in entries if e.get("bound") == bound and "times" in e]
        missed = {e["name"]: e["times"] for e in known if e["times"] > bound}
        found.append({"bound": bound, "rows": len(known), "missed": missed})
    return found


def needed_mib(row: SpeedRow, parameters: int, size: tuple[int, int]) -> float:
    """Say, on the safe side, what memory measuring a row takes.

    That of a pass (`napari_sparsessp.prediction.memory`), the true weights, and merged
    ones where there are any.
    """
    twin = merged_bytes(row.config)
    merged = min(row.config.outputs * twin, MERGED_BYTES + twin)
    weights = 1.25 * 4 * parameters
    features = activation_bytes(row.config, size[0] * size[1], row.config.outputs)
    return (PROCESS_BYTES["cpu"] + weights + merged + features) / 2**20


def _counted(
    rows: Sequence[SpeedRow],
    options: SpeedOptions,
    machine: dict[str, Any],
    progress: Callable[[SpeedProgress], None],
) -> list[dict[str, Any]]:
    """Parameters and GMAC of all rows; needs no memory for weights."""
    entries: list[dict[str, Any]] = []
    for row in rows:
        network = row.config.model_dump(mode="json")
        entries.append({"name": row.name, "network": network, "bound": row.bound})
        if row.config.backbone in BACKBONES_2D and find_spec("transformers") is None:
            entries[-1]["skipped"] = "needs the transformers library"
    open_entries = [entry for entry in entries if "skipped" not in entry]
    job = {"task": "count", "size": options.size}
    job["networks"] = [entry["network"] for entry in open_entries]

    def tick(seconds: float) -> None:
        left = 1.0 * len(rows)
        progress(SpeedProgress(0, len(rows), "counting", seconds, left))

    answers = _ask_worker(job, options.threads, tick)
    try:
        machine |= next(answers, {})
        for entry, answer in zip(open_entries, answers, strict=True):
            entry |= answer
    except (WorkerFailedError, ValueError) as error:
        raise InputError(f"cannot count what the networks cost ({error})") from error
    return entries


def _measured(
    row: SpeedRow,
    entry: dict[str, Any],
    options: SpeedOptions,
    tick: Callable[[float], None],
) -> dict[str, Any]:
    """Seconds and MiB of one row, or the reason why there are none."""
    import psutil

    needed = needed_mib(row, entry["parameters"], options.size)
    free = psutil.virtual_memory().available / 2**20
    if needed > free:
        return {"skipped": f"needs about {needed:.0f} MiB, {free:.0f} MiB are free"}
    job = {
        "task": "measure",
        "network": entry["network"],
        "size": options.size,
        "threads": options.threads,
        "precision": options.precision,
        "repeats": options.repeats,
    }
    try:
        (answer,) = _ask_worker(job, options.threads, tick)
    except (WorkerFailedError, ValueError) as error:
        return {"skipped": str(error)}
    if "seconds_all" in answer:
        answer["times"] = answer["seconds_all"] / answer["seconds_one"]
    return answer


class _Clock:
    """Guesses the time that is left from the speed so far.

    Parameters
    ----------
    entries : list of dict
        Counted rows; they know their seconds once they are measured.
    options : SpeedOptions
    """

    def __init__(self, entries: list[dict[str, Any]], options: SpeedOptions) -> None:
        self._entries = entries
        self._options = options

    def left(self, number: int, seconds: float) -> float:
        """Seconds from here on, `seconds` after the row of this number began."""
        rate = self._rate(number)
        now = self._expected(self._entries[number], rate)
        later = sum(self._expected(one, rate) for one in self._entries[number + 1 :])
        # A row that takes longer than expected says the same of the rest.
        slower = max(1.0, 1.2 * seconds / now)
        return slower * (now + later) - seconds

    def _rate(self, number: int) -> float:
        """Seconds for each GMAC: a first guess, outweighed by rows of any size."""
        known = [e for e in self._entries[:number] if "seconds_one" in e]
        seconds = GUESSED_RATE * 100 / self._options.threads
        seconds += sum(e["seconds_one"] for e in known)
        return seconds / (100 + sum(e["gmac_one"] for e in known))

    def _expected(self, entry: dict[str, Any], rate: float) -> float:
        if "skipped" in entry:
            return 0.0
        one, every = entry["gmac_one"], entry.get("gmac_all", 0.0)
        alone = entry["network"]["conditioning"] == "repmode"
        parts = entry["network"]["outputs"] if alone else 1
        pieces = [one, *[every / parts] * parts]
        return START_SECONDS + sum(self._tried(rate * piece) for piece in pieces)

    def _tried(self, seconds: float) -> float:
        """A warm-up and as many passes as patience allows."""
        tries = min(self._options.repeats, max(1, -(-PATIENCE // max(seconds, 1e-9))))
        return seconds * (1 + tries)
