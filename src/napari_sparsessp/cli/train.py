"""``sparsessp train`` and ``simulate``: models from pairs and simulated colonies."""

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from napari_sparsessp.cli.console import Console, clock, make_folder
from napari_sparsessp.cli.options import console_of, parse_sizes
from napari_sparsessp.errors import InputError
from napari_sparsessp.simulation import Contrast
from napari_sparsessp.tasks import Cancelled, cancellable, no_progress

if TYPE_CHECKING:
    from napari_sparsessp.training.data import TrainingData
    from napari_sparsessp.training.distributed import Group
    from napari_sparsessp.training.loop import Status
    from napari_sparsessp.training.resolve import ResolvedConfig

STOPPED = 130
"""128 + SIGINT, as shells expect."""

SMALLEST_COLONY = (8, 32, 32)
LARGEST_COLONY = 2**28
"""Voxels; each takes about a hundred bytes while the colony grows."""


def train(
    context: typer.Context,
    config: Annotated[
        Path, Argument(help="YAML file; docs/training.md has one to copy.")
    ],
) -> None:
    """Train a model; the same command goes on where it was stopped.

    Ctrl-C saves and ends. On several GPUs or machines: accelerate launch -m
    napari_sparsessp.cli train CONFIG.yaml.
    """
    from napari_sparsessp.training.config import read_config
    from napari_sparsessp.training.data import find_labels, read_stacks
    from napari_sparsessp.training.resolve import resolve_config

    console = console_of(context)
    resolved = resolve_config(read_config(config))
    labels = find_labels(resolved.config.data.pairs)

    from napari_sparsessp.training.distributed import join_group

    group = join_group(resolved.config.device)
    if not group.main:
        console = Console(quiet=True, debug=console.debug)
    with ExitStack() as closing:
        closing.callback(group.leave)
        with group.main_first():
            reading = console.progress("preparing", "stack")
            stacks = read_stacks(
                resolved, labels, group, closing, reading, console.warning
            )
        _run_training(console, config, resolved, stacks, group)


def _run_training(
    console: Console,
    config: Path,
    resolved: "ResolvedConfig",
    stacks: "TrainingData",
    group: "Group",
) -> None:
    """Train on all that was read, and print where the model is."""
    from napari_sparsessp.training.loop import tensorboard_writer
    from napari_sparsessp.training.run import run_training

    table = _Table(console)
    board = None
    if resolved.config.tensorboard and group.main:
        board = tensorboard_writer(resolved.config.out / "tensorboard")
        if board is None:
            console.warning(
                "TensorBoard is not installed, so no files of it are written; install "
                "the package tensorboard, or set tensorboard to false"
            )

    def listen(status: "Status") -> None:
        table.show(status)
        if board is not None:
            board(status)

    together = "" if group.count == 1 else f"; {group.count} processes"
    console.note(
        f"{len(stacks.training)} stacks to learn from, {len(stacks.validation)} to "
        f"validate on; structures: {', '.join(stacks.structures)}{together}"
    )
    try:
        with _stop_on_signal(group.count) as stop:
            progress = cancellable(no_progress, stop)
            path = run_training(resolved, stacks, listen, progress, group)
    except Cancelled:
        console.note(
            f"stopped after step {table.step} and saved; go on with: "
            f"sparsessp train {config}"
        )
        raise typer.Exit(STOPPED) from None
    if group.main:
        console.result(str(path))
        console.note(
            f"predict with it by --model {path}, or add it to your models: "
            f"sparsessp models import {path}"
        )


class _Table:
    """Print a row for each validation, and progress between them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = console.progress("training")
        self._headed = False
        self.step = 0

    def show(self, status: "Status") -> None:
        """Print the validation if there is one, else how far the training is."""
        self.step = status.step
        if status.note:
            self._console.warning(status.note)
        if status.entry is None:
            text = f"step {status.step}, loss {status.loss:.4f}"
            self._progress(status.share, None, text)
            return
        if not self._headed:
            self._headed = True
            self._console.note(
                f"{'step':>8} {'left':>9} {'loss':>8} {'rate':>8} {'R²':>7}  "
                "best structures"
            )
        left = "?" if math.isinf(status.seconds_left) else clock(status.seconds_left)
        score = status.entry.get("r2")
        shown = "" if score is None else f"{score:.4f}"
        loss = "" if math.isnan(status.loss) else f"{status.loss:.4f}"
        scores = status.entry.get("scores", {})
        means = {name: sum(row.values()) / len(row) for name, row in scores.items()}
        best = sorted(means, key=lambda name: -means[name])[:3]
        self._console.note(
            f"{status.step:>8} {left:>9} {loss:>8} {status.rate:>8.1e} {shown:>7}  "
            f"{', '.join(f'{name} {means[name]:.2f}' for name in best)}".rstrip()
        )


@contextmanager
def _stop_on_signal(processes: int = 1) -> Iterator[threading.Event]:
    """Let the first Ctrl-C set an event: a step is finished; a second ends at once.

    A cluster's SIGTERM, which comes before it kills, counts too. Several processes get
    every signal twice, from the terminal and from what launched them.
    """
    stop = threading.Event()

    def receive(number: int, frame: object) -> None:
        if stop.is_set() and processes == 1:
            raise KeyboardInterrupt
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, receive) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def simulate(
    context: typer.Context,
    out: Annotated[Path, Option("--out", "-o", help="Folder for the colonies.")],
    volumes: Annotated[int, Option(min=1, help="How many colonies.")] = 1,
    seed: Annotated[int, Option(min=0, help="Of the first; each has the next.")] = 0,
    shape: Annotated[
        str, Option(metavar="Z,Y,X", help="Voxels of 0.29 µm.")
    ] = "56,160,160",
    contrast: Annotated[
        Contrast, Option(help="What the transmitted light shows.")
    ] = Contrast.BRIGHT_FIELD,
    photons: Annotated[
        float, Option(min=0, help="At the bright end of the light; 0: no noise.")
    ] = 20_000,
    fluorescence_photons: Annotated[
        float,
        Option(min=0, help="Bleaching, background and noise; 0: the expected image."),
    ] = 0,
    device: Annotated[str, Option(help="auto, cpu, cuda, cuda:N or mps.")] = "cpu",
    overwrite: Annotated[
        bool, Option("--overwrite", help="Replace colonies that are there.")
    ] = False,
) -> None:
    """Simulate hiPSC colonies: transmitted light, and twelve structures as truth.

    Each becomes one OME-TIFF, listed in colonies.csv, which sparsessp train reads. The
    same seed, shape and kind of device give the same colony. Colonies that are there
    already are kept.
    """
    console = console_of(context)
    size = parse_sizes(shape, "--shape", int)
    if any(a < b for a, b in zip(size, SMALLEST_COLONY, strict=True)):
        raise InputError(
            f"--shape {shape} is smaller than a cell; give at least 8,32,32"
        )
    if math.prod(size) > LARGEST_COLONY:
        raise InputError(
            f"--shape {shape} needs more memory than there is; simulate several "
            "smaller colonies"
        )
    make_folder(out)

    from napari_sparsessp.prediction.device import choose_device
    from napari_sparsessp.simulation.colony import (
        colony_file,
        simulate_colony,
        write_colony,
        write_list,
    )

    place = str(choose_device(device))
    files = {number: colony_file(out, number) for number in range(seed, seed + volumes)}
    missing = [n for n, path in files.items() if overwrite or not path.exists()]
    for number in files.keys() - set(missing):
        console.note(f"{files[number]} is there already and kept")
    progress = console.progress("simulating", "colony")
    for done, number in enumerate(missing):
        progress(done, len(missing))
        colony = simulate_colony(number, size, device=place, contrast=contrast)
        write_colony(
            files[number], colony, number, photons, overwrite, contrast,
            fluorescence_photons,
        )  # fmt: skip
    console.result(str(write_list(out)))
