"""``sparsessp train``: learn from simulated colonies and one's own pairs."""

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument

from napari_sparsessp.cli.console import Console, clock
from napari_sparsessp.cli.options import Debug, Quiet, Version, console_of
from napari_sparsessp.tasks import Cancelled, Progress, cancellable, no_progress

if TYPE_CHECKING:
    from napari_sparsessp.training.data import TrainingData
    from napari_sparsessp.training.distributed import Group
    from napari_sparsessp.training.loop import Status
    from napari_sparsessp.training.resolve import ResolvedConfig

STOPPED = 130
"""128 + SIGINT, as shells expect."""


def train(
    context: typer.Context,
    config: Annotated[
        Path, Argument(help="YAML file; docs/training.md has one to copy.")
    ],
    quiet: Quiet = False,
    debug: Debug = False,
    version: Version = False,
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
            stacks = read_stacks(
                resolved, labels, group, closing, _counting(console), console.warning
            )
        _trained(console, config, resolved, stacks, group)


def _trained(
    console: Console,
    config: Path,
    resolved: "ResolvedConfig",
    stacks: "TrainingData",
    group: "Group",
) -> None:
    """Train with all that was read, and say where the model is."""
    from napari_sparsessp.training.loop import tensorboard_writer
    from napari_sparsessp.training.run import run_training

    table = _Table(console)
    listeners: list[Callable[[Status], None]] = [table.show]
    if resolved.config.tensorboard and group.main:
        board = tensorboard_writer(resolved.config.out / "tensorboard")
        if board is None:
            console.warning(
                "TensorBoard is not installed, so no files of it are written; install "
                "the package tensorboard, or set tensorboard to false"
            )
        else:
            listeners.append(board)

    def listen(status: "Status") -> None:
        for one in listeners:
            one(status)

    together = "" if group.count == 1 else f"; {group.count} processes"
    console.note(
        f"{len(stacks.training)} stacks to learn from, {len(stacks.validation)} to "
        f"validate on; structures: {', '.join(stacks.structures)}{together}"
    )
    try:
        with _stop_signal(group.count) as stop:
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


def _counting(console: Console) -> Progress:
    """Show how many stacks are read or simulated."""

    def show(done: float, total: float | None = None, what: str = "") -> None:
        console.progress(f"{what} {done:g} of {total:g}", last=done == total)

    return show


class _Table:
    """Rows of what was validated, and between them a line that is rewritten."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._headed = False
        self.step = 0

    def show(self, status: "Status") -> None:
        self.step = status.step
        if status.note:
            self._console.warning(status.note)
        left = "?" if math.isinf(status.seconds_left) else clock(status.seconds_left)
        if status.entry is None:
            self._console.progress(
                f"step {status.step}, {status.share:.0%}, {left} left, "
                f"loss {status.loss:.4f}"
            )
            return
        if not self._headed:
            self._headed = True
            self._console.note(
                f"{'step':>8} {'left':>9} {'loss':>8} {'rate':>8} {'R²':>7}  "
                "best structures"
            )
        score = status.entry.get("r2")
        shown = "" if score is None else f"{score:.4f}"
        loss = "" if math.isnan(status.loss) else f"{status.loss:.4f}"
        self._console.note(
            f"{status.step:>8} {left:>9} {loss:>8} {status.rate:>8.1e} "
            f"{shown:>7}  {_best(status.entry.get('scores', {}))}".rstrip()
        )


def _best(scores: dict[str, dict[str, float]]) -> str:
    """Name the three structures that are predicted best, with their mean R²."""
    means = {name: sum(row.values()) / len(row) for name, row in scores.items()}
    ordered = sorted(means, key=lambda name: -means[name])
    return ", ".join(f"{name} {means[name]:.2f}" for name in ordered[:3])


@contextmanager
def _stop_signal(processes: int = 1) -> Iterator[threading.Event]:
    """Let the first Ctrl-C set an event, so that a step is finished; a second one ends.

    A cluster's SIGTERM, which comes before it kills, counts too. Several processes get
    every signal twice, from the terminal and from what launched them.

    Yields
    ------
    threading.Event
    """
    stop = threading.Event()

    def note(number: int, frame: object) -> None:
        if stop.is_set() and processes == 1:
            raise KeyboardInterrupt
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, note) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
