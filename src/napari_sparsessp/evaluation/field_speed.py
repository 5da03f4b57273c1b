"""How fast one field of view is predicted: ours beside the published ways.

On the same input, one after the other, each in a fresh process. What would take hours
is measured in part and multiplied by an exact count. Nothing here loads torch.
"""

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from napari_sparsessp import __version__
from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.field_rows import (
    FIELD,
    STEP,
    FieldRow,
    Shape,
    needed_mib,
)
from napari_sparsessp.evaluation.fresh_process import WorkerFailedError, ask_worker
from napari_sparsessp.evaluation.machine import describe_machine
from napari_sparsessp.evaluation.speed import SpeedProgress

SCHEMA = 1
GUESSED_SECONDS = {"peaks": 12.0, "engine": 15.0, "windows": 20.0, "whole": 40.0}
"""Of a row, for the time that is left, until one of its kind is measured."""


LISTENED = 1.0
"""Seconds before each row in which nothing of ours runs, to hear what others do."""


@dataclass(frozen=True)
class FieldOptions:
    """What to measure and how.

    Attributes
    ----------
    shape : tuple of int
        (D, H, W) of the field on the model's grid.
    threads : int
    device : str
        ``cpu``, ``cuda`` or ``mps``.
    model : str
        Ours.
    windows : int
        Measured ones of a sliding window.
    repeats : int
        Predictions of ours of which the fastest counts, after a first one.
    """

    shape: Shape = FIELD
    threads: int = 1
    device: str = "cpu"
    model: str = "default"
    windows: int = 3
    repeats: int = 5


def measure_field(
    rows: Sequence[FieldRow],
    options: FieldOptions,
    progress: Callable[[SpeedProgress], None] = lambda _: None,
    earlier: dict[str, Any] | None = None,
) -> Generator[dict[str, Any], None, None]:
    """Measure the machine's peaks, row after row, and the layers of our network.

    Parameters
    ----------
    rows : sequence of FieldRow
        Ours first.
    options : FieldOptions
    progress : callable
        Called about once a second.
    earlier : dict, optional
        An unfinished result of the same options on the same machine; what it has is
        not measured again.

    Yields
    ------
    dict
        The whole result so far, ready for JSON, after each row; ``finished`` in the
        last one.

    Raises
    ------
    InputError
        `earlier` is of other options or another machine; or the peaks of the machine
        cannot be measured.
    """
    result = _start(options, earlier)
    known = {row["name"]: row for row in result["rows"] if "skipped" not in row}
    total = len(rows) + 2

    def tick(number: int, name: str) -> Callable[[float], None]:
        left = sum(GUESSED_SECONDS[row.kind] for row in rows[max(0, number - 1) :])
        return lambda seconds: progress(
            SpeedProgress(number + 1, total, name, seconds, max(1.0, left - seconds))
        )

    if "peaks" not in result:
        peaks = {"task": "peaks", "device": options.device}
        try:
            result["peaks"] = _answer(peaks, options, tick(0, "peaks of the machine"))
        except WorkerFailedError as error:
            raise InputError(f"the machine cannot be measured ({error})") from error
    result["rows"] = []
    for number, row in enumerate(rows):
        if row.name not in known:
            result["busy"] = max(result["busy"], _busy())
        entry = known.get(row.name) or _measured(
            row, options, tick(number + 1, row.name)
        )
        result["rows"].append(entry)
        _compare(result["rows"])
        yield {**result, "rows": [dict(one) for one in result["rows"]]}
    if "layers" not in result:
        job: dict[str, Any] = {
            "task": "layers",
            "model": options.model,
            "shape": options.shape,
            "device": options.device,
            "precision": "auto",
        }
        try:
            result["layers"] = _answer(job, options, tick(total - 1, "layers of ours"))
        except WorkerFailedError as error:
            result["layers"] = {"skipped": str(error)}
    result["finished"] = True
    yield result


def _start(options: FieldOptions, earlier: dict[str, Any] | None) -> dict[str, Any]:
    """An empty result, or the earlier one if it is of the same kind."""
    wanted = asdict(options) | {"shape": list(options.shape)}
    machine = describe_machine()
    if earlier is None:
        return {
            "schema": SCHEMA,
            "kind": "field",
            "package": __version__,
            "finished": False,
            "machine": machine,
            "options": wanted,
            "busy": _busy(),
            "rows": [],
        }
    for name, now in (("options", wanted), ("machine", machine), ("schema", SCHEMA)):
        if earlier.get(name) != now:
            raise InputError(
                f"the earlier result has other {name}; measure anew without --resume"
            )
    return {**earlier, "finished": False, "busy": max(earlier["busy"], _busy())}


def _busy() -> float:
    """Cores that others keep busy at this moment; figures need a quiet machine."""
    import psutil

    share = psutil.cpu_percent(interval=LISTENED) / 100
    return round(share * (psutil.cpu_count() or 1), 2)


def _measured(
    row: FieldRow, options: FieldOptions, tick: Callable[[float], None]
) -> dict[str, Any]:
    """Seconds and MiB of one row, or the reason why there are none."""
    import psutil

    began = time.monotonic()
    entry: dict[str, Any] = {
        "name": row.name,
        "kind": row.kind,
        "precision": row.precision,
        "passes": row.passes,
    }
    needed, free = needed_mib(row, options.shape), _free_mib(psutil)
    if needed > free:
        skipped = f"needs about {needed:.0f} MiB, {free:.0f} MiB are free"
        return entry | {"skipped": skipped}
    job = _job(row, options)
    try:
        answer = _answer(job, options, tick)
    except WorkerFailedError as error:
        return entry | {"skipped": str(error)}
    entry |= answer
    if row.kind != "engine":
        entry |= _scaled(row, options, answer)
    return entry | {"took": round(time.monotonic() - began, 1)}


def _free_mib(psutil: Any) -> float:
    return float(psutil.virtual_memory().available / 2**20)


def _job(row: FieldRow, options: FieldOptions) -> dict[str, Any]:
    job: dict[str, Any] = {
        "task": row.kind,
        "shape": options.shape,
        "device": options.device,
    }
    if row.network is None:
        more = {"model": options.model, "repeats": options.repeats}
        return job | more | {"precision": row.precision}
    return job | {
        "network": row.network.model_dump(mode="json"),
        "window": row.window,
        "overlap": row.overlap,
        "windows": min(options.windows, row.pieces(options.shape)),
        "step": STEP,
    }


def _scaled(
    row: FieldRow, options: FieldOptions, answer: dict[str, Any]
) -> dict[str, Any]:
    """Seconds of the whole field, from the pieces that were measured.

    ``seconds`` as the authors run it: RepMode mixes its kernels for every window.
    ``seconds_mixed_once``: were they mixed once for each structure.
    """
    pieces = row.pieces(options.shape)
    piece, merge = answer["seconds_piece"], answer.get("seconds_merge", 0.0)
    mixes = row.network is not None and row.network.conditioning == "repmode"
    scaled = {"pieces": pieces, "seconds": pieces * (piece + merge * mixes)}
    if mixes:
        scaled["seconds_mixed_once"] = pieces * piece + row.passes * merge
    return scaled


def _compare(rows: list[dict[str, Any]]) -> None:
    """Add each row's time as a multiple of the first one's, ours."""
    ours = rows[0].get("seconds")
    for row in rows:
        for name in ("", "_mixed_once"):
            if ours and f"seconds{name}" in row:
                row[f"ratio{name}"] = row[f"seconds{name}"] / ours


def _answer(
    job: dict[str, Any], options: FieldOptions, tick: Callable[[float], None]
) -> dict[str, Any]:
    """The one answer of a fresh process."""
    job = {**job, "threads": options.threads}
    try:
        (answer,) = ask_worker(job, options.threads, tick)
    except ValueError as error:
        raise WorkerFailedError(f"it did not answer ({error})") from error
    return answer
