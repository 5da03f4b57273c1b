"""Measure how fast networks are: a patch by each, or a field of view beside others'.

Each row is measured in a fresh process, one after the other, so that none slows another
one down and each peak of memory is its own. Nothing here loads torch.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any, Literal

from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.speed_worker import PATIENCE, REPEATS
from napari_sparsessp.models.library import read_card
from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.families import (
    BACKBONES_2D,
    CONDITIONINGS,
    TOPOLOGIES,
)
from napari_sparsessp.prediction.memory import (
    PROCESS_BYTES,
    activation_bytes,
    merged_bytes,
)
from napari_sparsessp.prediction.tiling import window_starts
from napari_sparsessp.subprocesses import WorkerFailed, WorkerProcess
from napari_sparsessp.tasks import Progress, no_progress
from napari_sparsessp.version import __version__

SCHEMA = 1

RATIO = 2
"""Sparsity r of the patch: every second plane was imaged."""

QUICK = (
    "dod 3to2d prefix dodnet",
    "dod 2d none dodnet",
    "dod 3to2d prefix tgnet",
    "plain k5 2d repmode",
    "slim",
)

FIELD = (65, 232, 344)
"""Planes, height and width of one field of view on the models' grid (0.29 µm)."""

WINDOW, OVERLAP = (32, 128, 128), 0.5
"""The sliding window of RepMode and SparseSSP, half overlapping on all axes."""

STEP = 16
"""FNet's images are cropped to multiples of this on every axis."""

LISTENED = 1.0
"""Seconds before each row in which nothing of ours runs, to hear what others do."""

MERGED_BYTES = 2 * 2**30
"""Merged networks are kept up to this size (`networks.merging`)."""

BOUND = 600.0
"""Seconds after which a row is given up."""

Shape = tuple[int, int, int]


def all_threads() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, memory and system, without loading torch."""
    import psutil

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    for line in info.read_text(errors="replace").splitlines() if info.exists() else ():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return {
        "cpu": cpu,
        "cores": all_threads(),
        "memory_mib": round(psutil.virtual_memory().total / 2**20),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _ask(
    job: dict[str, Any], threads: int, tick: Callable[[float], None]
) -> dict[str, Any]:
    """Return a fresh process's answer to one job; `tick` as in `WorkerProcess`."""

    def bounded(seconds: float) -> None:
        tick(seconds)
        if seconds > BOUND:
            raise WorkerFailed(f"not done after {BOUND / 60:g} minutes")

    with WorkerProcess("napari_sparsessp.evaluation.speed_worker", threads) as worker:
        worker.send({**job, "threads": threads})
        answer: dict[str, Any] = worker.receive(bounded)
        return answer


def _ask_if_it_fits(
    needed_mib: float, job: dict[str, Any], threads: int, tick: Callable[[float], None]
) -> dict[str, Any]:
    """Return the answer, or why there is none as ``skipped``."""
    import psutil

    free = psutil.virtual_memory().available / 2**20
    if needed_mib > free:
        needs = f"needs about {needed_mib:.0f} MiB, {free:.0f} MiB are free"
        return {"skipped": needs}
    try:
        return _ask(job, threads, tick)
    except WorkerFailed as error:
        return {"skipped": str(error)}


def _row_by_row(
    result: dict[str, Any],
    names: Sequence[str],
    measure: Callable[[int, Callable[[float], None]], dict[str, Any]],
    progress: Progress,
) -> Generator[dict[str, Any], None, None]:
    """Yield the result so far after each row; report progress every second."""
    count = len(names)
    result |= {"schema": SCHEMA, "package": __version__, "finished": False, "rows": []}
    for number, name in enumerate(names):

        def tick(seconds: float, number: int = number, name: str = name) -> None:
            what = f"{name} ({number + 1} of {count}), {seconds:.0f} s"
            progress(number, count, what)

        result["rows"].append(measure(number, tick))
        result["finished"] = number == count - 1
        yield {**result, "rows": [dict(row) for row in result["rows"]]}


# a patch by every network -----------------------------------------------------------


@dataclass(frozen=True)
class SpeedRow:
    """One network of the table; ``--rows`` chooses by the words of its name."""

    name: str
    config: NetworkConfig

    @property
    def bound(self) -> float | None:
        """The most that twelve structures may cost, as a multiple of a single one.

        1.15 where they share all but the last layer, 2 where each has a pass of a 2D
        decoder after a shared 3D encoder; None where nothing is promised.
        """
        config = self.config
        if not config.per_structure:
            return 1.15
        whole = config.conditioning in ("multinet", "repmode")
        shares = not whole and config.task_where == "decoder"
        return 2.0 if shares and config.topology == "3to2d" else None


def speed_rows() -> list[SpeedRow]:
    """Return all rows, in the order of the table.

    Twelve structures and the paper's widths. A 3D encoder with a prefix mapping takes
    the dense grid; every other network takes the D/r planes as they were imaged, 2D
    encoders as channels.
    """

    def row(name: str, topology: str, **changes: Any) -> SpeedRow:
        mapping = changes.get("mapping", "prefix")
        dense = topology.startswith("3") and mapping == "prefix"
        values: dict[str, Any] = {"backbone": "dod", "conditioning": "dodnet"}
        values |= {"topology": topology, "ratio": 1 if dense else RATIO}
        values |= {"outputs": 12, **changes}
        return SpeedRow(name, NetworkConfig.model_validate(values))

    repmode: dict[str, Any] = {"backbone": "plain", "conditioning": "repmode"}
    repmode["kernel"] = 5
    shared: dict[str, Any] = {"conditioning": "multihead"}
    shipped = NetworkConfig.model_validate(read_card().network)
    rows = [
        row(f"dod {topology} prefix {method}", topology, conditioning=method)
        for topology in TOPOLOGIES
        for method in CONDITIONINGS
    ]
    rows += [row(f"dod {t} none dodnet", t, mapping="none") for t in ("2d", "3to2d")]
    rows += [row(f"dod {t} postfix dodnet", t, mapping="postfix") for t in TOPOLOGIES]
    rows += [
        row(f"dod {topology} prefix dodnet projection-2d", topology, projection="2d")
        for topology in ("2to3d", "3to2d")
    ]
    rows += [row(f"plain k5 {t} repmode", t, **repmode) for t in TOPOLOGIES]
    released = {**repmode, "projection": "code"}
    rows.append(row("plain k5 3to2d repmode released", "3to2d", **released))
    rows.append(
        row("fnet 3d one-structure", "3d", backbone="fnet", **{**shared, "outputs": 1})
    )
    rows += [
        row(f"plain k3 {topology} multihead", topology, backbone="plain", **shared)
        for topology in TOPOLOGIES[1:]
    ]
    rows += [
        row(f"{name} {topology} tsn", topology, backbone=name, conditioning="tsn")
        for name in BACKBONES_2D
        for topology in ("2d", "2to3d")
    ]
    return [*rows, SpeedRow("slim", shipped)]


def choose_rows(texts: Sequence[str], quick: bool = False) -> list[SpeedRow]:
    """Return the rows that have all words of one of the texts."""
    rows = speed_rows()
    if not texts:
        return [row for row in rows if not quick or row.name in QUICK]
    chosen: set[str] = set()
    for text in texts:
        words = set(text.split())
        fits = {row.name for row in rows if words <= set(row.name.split())}
        if not words or not fits:
            known = sorted({word for row in rows for word in row.name.split()})
            raise InputError(
                f"no row of the benchmark has the words {text!r}; "
                f"choose among: {' '.join(known)}"
            )
        chosen |= fits
    return [row for row in rows if row.name in chosen]


@dataclass(frozen=True)
class SpeedOptions:
    """Options of the benchmark of a patch."""

    # Height and width of the patch of 32 dense planes
    size: tuple[int, int] = (128, 128)
    threads: int = 1
    precision: str = "fp32"
    repeats: int = REPEATS  # A time is the best of at least so many passes


def measure_speed(
    rows: Sequence[SpeedRow], options: SpeedOptions, progress: Progress = no_progress
) -> Generator[dict[str, Any], None, None]:
    """Measure row after row; report progress about once a second.

    The whole result so far, ready for JSON, after each row; ``finished`` in the
    last one. Stopping the generator stops the process that measures.
    """
    entries: list[dict[str, Any]] = []
    for row in rows:
        network = row.config.model_dump(mode="json")
        entries.append({"name": row.name, "network": network, "bound": row.bound})
        if row.config.backbone in BACKBONES_2D and find_spec("transformers") is None:
            entries[-1]["skipped"] = "needs the transformers library"
    counted = [entry for entry in entries if "skipped" not in entry]
    networks = [entry["network"] for entry in counted]
    count = {"task": "count", "size": options.size, "networks": networks}
    try:
        answer = _ask(
            count, options.threads, lambda _seconds: progress(0, len(rows), "counting")
        )
    except WorkerFailed as error:
        raise InputError(f"cannot count what the networks cost ({error})") from error
    if options.precision == "bf16" and not answer["machine"]["bf16"]:
        raise InputError(
            "this processor has no bfloat16 instructions, and emulated they take for "
            "ever; measure with --precision fp32"
        )
    for entry, cost in zip(counted, answer["costs"], strict=True):
        entry |= cost

    def measure(number: int, tick: Callable[[float], None]) -> dict[str, Any]:
        entry = entries[number]
        if "skipped" not in entry:
            needed = patch_mib(rows[number], entry["parameters"], options.size)
            job = {**asdict(options), "task": "patch", "network": entry["network"]}
            entry |= _ask_if_it_fits(needed, job, options.threads, tick)
            if "seconds_all" in entry:
                entry["times"] = entry["seconds_all"] / entry["seconds_one"]
        return entry

    settings = asdict(options) | {"size": [32, *options.size]}
    result = {
        "machine": describe_machine() | answer["machine"],
        "options": settings | {"ratio": RATIO, "patience": PATIENCE},
    }
    yield from _row_by_row(result, [row.name for row in rows], measure, progress)


def patch_mib(row: SpeedRow, parameters: int, size: tuple[int, int]) -> float:
    """Return, on the safe side, the memory that measuring a row takes.

    That of a pass (`napari_sparsessp.prediction.memory`), the true weights, and merged
    ones where there are any.
    """
    twin = merged_bytes(row.config)
    merged = min(row.config.outputs * twin, MERGED_BYTES + twin)
    weights = 1.25 * 4 * parameters
    features = activation_bytes(row.config, size[0] * size[1], row.config.outputs)
    return (PROCESS_BYTES["cpu"] + weights + merged + features) / 2**20


# a field of view beside the published ways ------------------------------------------


@dataclass(frozen=True)
class FieldRow:
    """One way to predict the field of view."""

    name: str
    # Ours end to end; a sliding window; the whole volume in one pass
    kind: Literal["engine", "windows", "whole"]
    network: NetworkConfig | None = None  # Of a published way
    precision: str = "fp32"
    passes: int = 1  # How often all is done: once for each structure, or once for all
    window: Shape = WINDOW
    overlap: float = OVERLAP

    def pieces(self, shape: Shape) -> int:
        """Count the passes of a network that the field takes; 0 for ours, unknown."""
        if self.kind == "windows":
            return self.passes * len(window_corners(shape, self.window, self.overlap))
        return self.passes if self.kind == "whole" else 0


def window_corners(shape: Shape, window: Shape, overlap: float) -> list[Shape]:
    """Return the first voxels of windows that cover a volume, the last moved inside."""
    axes = [
        window_starts(length, size, overlap)
        for length, size in zip(shape, window, strict=True)
    ]
    return [(z, y, x) for z, y, x in product(*axes)]


def cropped(shape: Shape, step: int = STEP) -> Shape:
    """Return the largest shape inside, in multiples of `step`."""
    z, y, x = (max(step, length // step * step) for length in shape)
    return z, y, x


def field_rows(structures: int = 12) -> tuple[FieldRow, ...]:
    """Return all rows; ours, by which the others are divided, is the first.

    Published networks run in float32 and as their authors run them: RepMode and the
    released SparseSSP network in windows of 32×128×128 that overlap by half on all
    axes, FNet on the whole volume; each structure is a pass of its own.
    """
    repmode: dict[str, Any] = {"backbone": "plain", "conditioning": "repmode"}
    repmode |= {"kernel": 5, "outputs": structures}
    code = {"topology": "3to2d", "projection": "code", "interpolation": "hold"}
    three = NetworkConfig.model_validate({**repmode, "topology": "3d"})
    released = NetworkConfig.model_validate({**repmode, **code})
    fnet = NetworkConfig(backbone="fnet", topology="3d", outputs=1)
    return (
        FieldRow("ours", "engine", precision="auto"),
        FieldRow("ours, fp32", "engine"),
        FieldRow("FNet", "whole", fnet, passes=structures),
        FieldRow("SparseSSP, released 3-to-2D", "windows", released, passes=structures),
        FieldRow("RepMode 3D", "windows", three, passes=structures),
    )


@dataclass(frozen=True)
class FieldOptions:
    """Options of the benchmark of a field of view."""

    shape: Shape = FIELD  # (D, H, W) of the field on the model's grid
    threads: int = 1
    device: str = "cpu"
    model: str = "default"
    windows: int = 3  # Measured ones of a sliding window
    # Predictions of ours of which the fastest counts, after a first one
    repeats: int = 5


def measure_field(
    rows: Sequence[FieldRow], options: FieldOptions, progress: Progress = no_progress
) -> Generator[dict[str, Any], None, None]:
    """Measure row after row, ours first, and yield as `measure_speed` does.

    What would take hours is measured in part and multiplied by an exact count.
    """
    result: dict[str, Any] = {
        "machine": describe_machine(),
        "options": asdict(options) | {"shape": list(options.shape)},
        "kind": "field",
        "busy": 0.0,
    }

    def measure(number: int, tick: Callable[[float], None]) -> dict[str, Any]:
        result["busy"] = max(result["busy"], _busy())
        entry = _measured(rows[number], options, tick)
        first = (result["rows"] or [entry])[0].get("seconds")
        for name in ("", "_mixed_once"):
            if first and f"seconds{name}" in entry:
                entry[f"ratio{name}"] = entry[f"seconds{name}"] / first
        return entry

    yield from _row_by_row(result, [row.name for row in rows], measure, progress)


def _busy() -> float:
    """Return the cores that others keep busy now; figures need a quiet machine."""
    import psutil

    share = psutil.cpu_percent(interval=LISTENED) / 100
    return round(share * (psutil.cpu_count() or 1), 2)


def _measured(
    row: FieldRow, options: FieldOptions, tick: Callable[[float], None]
) -> dict[str, Any]:
    """Measure a row; of a published way, scale its pieces to the whole field.

    ``seconds`` as the authors run it: RepMode mixes its kernels for every window.
    ``seconds_mixed_once``: were they mixed once for each structure.
    """
    shape, pieces = options.shape, row.pieces(options.shape)
    job: dict[str, Any] = {"task": row.kind, "shape": shape, "device": options.device}
    if row.network is None:
        needed = 1024 + 40 * 4 * math.prod(shape) / 2**20
        job |= {"model": options.model, "repeats": options.repeats}
        job["precision"] = row.precision
    else:
        # Skip, up-sampled, joined, convolved and copies, at full resolution.
        needed = 1024 + 8 * row.network.encoder_widths[0] * 4 * math.prod(shape) / 2**20
        if row.kind == "windows":
            needed = 4096
        corners = window_corners(shape, row.window, row.overlap)[: options.windows]
        job["network"] = row.network.model_dump(mode="json")
        job |= {"window": row.window, "corners": corners, "crop": cropped(shape)}
    about = ("name", "kind", "precision", "passes")
    entry: dict[str, Any] = {name: getattr(row, name) for name in about}
    entry |= _ask_if_it_fits(needed, job, options.threads, tick)
    if "skipped" in entry:
        return entry
    if row.network is not None:
        piece, merge = entry["seconds_piece"], entry.get("seconds_merge", 0.0)
        mixes = row.network.conditioning == "repmode"
        entry |= {"pieces": pieces, "seconds": pieces * (piece + merge * mixes)}
        if mixes:
            entry["seconds_mixed_once"] = pieces * piece + row.passes * merge
    return entry
