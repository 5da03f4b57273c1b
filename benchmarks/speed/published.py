"""Measure published networks at their published sizes, with random weights.

    python -m benchmarks.speed.published import    # each file: seconds, peak memory
    python -m benchmarks.speed.published windows   # one window, beside plain functions
    python -m benchmarks.speed.published tiles     # what tiles in y and x would change

Files are written to a temporary folder in the authors' layout, with Adam's state as a
trainer leaves it. Each import is a process of its own, whose peak the system knows
(Linux). The field is that of the speed page, 65×232×344; `windows` measures some of its
windows by turns, as both take the same number.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

FIELD = (65, 232, 344)
HALO = 96  # pixels around a tile


def measure_imports(folder: Path) -> None:
    """Import each published file by the command line."""
    from benchmarks.speed.viscy_layout import PUBLISHED, random_state, write_checkpoint

    print(
        f"{'network':18} {'file MB':>8} {'model MB':>9} {'seconds':>8} {'peak MiB':>9}"
    )
    for name, layout in PUBLISHED.items():
        path = folder / f"{name.replace(' ', '-').lower()}.ckpt"
        write_checkpoint(path, layout, random_state(layout))
        words = ["models", "import", str(path), "--voxel-size", "0.25,0.1,0.1"]
        began = time.perf_counter()
        peak = _peak_of([*words, "--out", str(folder / "models"), "--quiet"])
        seconds = time.perf_counter() - began
        (made,) = (folder / "models").glob("*.safetensors")
        sizes = [one.stat().st_size / 1e6 for one in (path, made)]
        print(
            f"{name:18} {sizes[0]:8.1f} {sizes[1]:9.1f} {seconds:8.1f} {peak:9.0f}",
            flush=True,
        )
        path.unlink()
        made.unlink()


def _peak_of(words: Sequence[str]) -> float:
    """Run a command of `sparsessp`; return the MiB of its largest process."""
    code = (
        "import resource, sys; from napari_sparsessp.cli.main import app_main\n"
        "try:\n    app_main(sys.argv[1:])\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise SystemExit("the import failed")
    return float(done.stdout.split()[-1])


def measure_windows(
    folder: Path, rounds: int, threads: int | None, only: Sequence[str]
) -> None:
    """Time one window of each network: ours and plain functions, by turns."""
    import torch

    from benchmarks.speed.viscy_layout import PUBLISHED, plain_window

    if threads:
        torch.set_num_threads(threads)
    depth, height, width = FIELD
    print(f"{torch.get_num_threads()} threads; wall (CPU) seconds, medians of {rounds}")
    for name, layout in PUBLISHED.items():
        if only and name not in only:
            continue
        network, state = _network(layout, folder)
        size = [math.ceil(n / layout.multiple) * layout.multiple for n in FIELD[1:]]
        x = torch.randn(1, 1, layout.depth, *size)
        plain: list[tuple[float, float]] = []
        ours: list[tuple[float, float]] = []
        with torch.inference_mode():
            largest = float((plain_window(layout, state, x) - network(x)).abs().max())
            for _ in range(rounds):
                plain.append(_seconds(plain_window, layout, state, x))
                ours.append(_seconds(network, x))
        (wall, cpu), (own_wall, own_cpu) = map(_medians, (plain, ours))
        count = depth - layout.depth + 1
        step = network.config.fast_step
        fast = math.ceil((depth - layout.depth) / step) + 1 if step else count
        print(
            f"{name:18} plain {wall:5.2f} ({cpu:5.2f}) ours {own_wall:5.2f} "
            f"({own_cpu:5.2f}) ratio {own_wall / wall:.2f} ({own_cpu / cpu:.2f}); "
            f"{count} windows {count * own_wall:5.0f} s; fast, {fast}: ratio "
            f"{fast * own_wall / (count * wall):.2f}; differ by {largest:.0e}",
            flush=True,
        )


def _seconds(run: Callable[..., Any], *given: Any) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    run(*given)
    return time.perf_counter() - wall, time.process_time() - cpu


def _medians(times: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(t[0] for t in times), statistics.median(
        t[1] for t in times
    )


def _network(layout: Any, folder: Path) -> tuple[Any, Any]:
    """Return a network and the tensors of its file."""
    from benchmarks.speed.viscy_layout import random_state, write_checkpoint
    from napari_sparsessp.models.importing.convert import open_network

    # A name of its own: the tensors stay in the file.
    state, path = random_state(layout), folder / f"{len(list(folder.iterdir()))}.ckpt"
    write_checkpoint(path, replace(layout, adam=False), state)
    return open_network(path)[1], state


def measure_tiles(folder: Path, files: Sequence[Path]) -> None:
    """Predict a field as a whole and in parts, and compare."""
    from benchmarks.speed.viscy_layout import PUBLISHED
    from napari_sparsessp.models.importing.convert import open_network

    networks = {path.stem: open_network(path)[1] for path in files}
    if not files:
        networks = {one: _network(PUBLISHED[one], folder)[0] for one in PUBLISHED}
    print(f"relative RMS of tiles with {HALO} pixels around against the whole field")
    for name, network in networks.items():
        stack = _texture((network.config.depth, *FIELD[1:]))
        whole = _predicted(network, stack)
        found = []
        for rows, columns in ((1, 2), (2, 2)):
            parts = _in_tiles(network, stack, rows, columns)
            found.append(np.sqrt(np.mean((parts - whole) ** 2)) / whole.std())
        print(f"{name:28} halves {found[0]:.3f}  quarters {found[1]:.3f}", flush=True)


def _texture(shape: tuple[int, int, int]) -> np.ndarray:
    """Blobs of many sizes that fill one side more than the other, in quartiles."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    stack = sum(
        weight * gaussian_filter(rng.normal(size=shape), (1, size, size)) * size
        for weight, size in ((0.3, 1), (1, 4), (1, 12))
    )
    stack = stack * np.linspace(0.3, 1.7, shape[2])
    low, middle, high = np.percentile(stack, (25, 50, 75))
    return np.asarray((stack - middle) / (high - low), np.float32)


def _predicted(network: Any, stack: np.ndarray) -> np.ndarray:
    from napari_sparsessp.models.raw_forward import run_stack

    return run_stack(network, stack)


def _in_tiles(network: Any, stack: np.ndarray, rows: int, columns: int) -> np.ndarray:
    result, (_, height, width) = np.zeros(()), stack.shape
    for row in range(rows):
        for column in range(columns):
            spans = [
                (n * k // parts, n * (k + 1) // parts)
                for n, k, parts in ((height, row, rows), (width, column, columns))
            ]
            reads = [
                slice(max(0, a - HALO), min(n, b + HALO))
                for (a, b), n in zip(spans, (height, width), strict=True)
            ]
            values = _predicted(network, np.ascontiguousarray(stack[:, *reads]))
            if not result.ndim:
                result = np.zeros((len(values), *stack.shape), np.float32)
            inner = [
                slice(a - read.start, b - read.start)
                for (a, b), read in zip(spans, reads, strict=True)
            ]
            place = [slice(*span) for span in spans]
            result[:, :, *place] = values[:, :, *inner]
    return result


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["import", "windows", "tiles"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--only", nargs="*", default=[], help="networks of windows")
    parser.add_argument("--files", type=Path, nargs="*", default=[], help="for tiles")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["SPARSESSP_MODELS"] = str(folder / "models")
        if options.what == "import":
            measure_imports(folder)
        elif options.what == "windows":
            measure_windows(folder, options.rounds, options.threads, options.only)
        else:
            measure_tiles(folder, options.files)


if __name__ == "__main__":
    main()
