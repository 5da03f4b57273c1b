"""``sparsessp train``: learn from simulated colonies and one's own pairs."""

import math
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument

from napari_sparsessp.cli.console import Console, clock
from napari_sparsessp.cli.options import Debug, Quiet, Version, console_of

if TYPE_CHECKING:
    from napari_sparsessp.training.loop import Group, Status
    from napari_sparsessp.training.resolve import Setup
    from napari_sparsessp.training.run import Stacks

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
    from napari_sparsessp.training.resolve import make_setup

    console = console_of(context)
    setup = make_setup(read_config(config))
    labels = find_labels(setup.config.data.pairs)

    from napari_sparsessp.training.loop import join_group

    group = join_group(setup.config.device)
    if not group.main:
        console = Console(quiet=True, debug=console.debug)
    with ExitStack() as closing:
        closing.callback(group.leave)
        with group.main_first():
            stacks = read_stacks(console, setup, labels, group, closing)
        _trained(console, config, setup, stacks, group)


def _trained(
    console: Console, config: Path, setup: "Setup", stacks: "Stacks", group: "Group"
) -> None:
    """Train with all that was read, and say where the model is."""
    from napari_sparsessp.training.loop import open_board
    from napari_sparsessp.training.run import run_training

    table = _Table(console)
    listeners: list[Callable[[Status], None]] = [table.show]
    if setup.config.tensorboard and group.main:
        board = open_board(setup.config.out / "tensorboard")
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
    with _asked_to_stop(group.count) as asked:
        path = run_training(setup, stacks, listen, lambda: bool(asked), group)
    if path is None:
        console.note(
            f"stopped after step {table.step} and saved; go on with: "
            f"sparsessp train {config}"
        )
        raise typer.Exit(STOPPED)
    if group.main:
        console.result(str(path))


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
def _asked_to_stop(processes: int = 1) -> Iterator[list[int]]:
    """Collect the first Ctrl-C, so that a step is finished; a second one ends at once.

    A cluster's SIGTERM, which comes before it kills, counts too. Several processes get
    every signal twice, from the terminal and from what launched them.

    Yields
    ------
    list
        Empty until it is pressed.
    """
    asked: list[int] = []

    def note(number: int, frame: object) -> None:
        if asked and processes == 1:
            raise KeyboardInterrupt
        asked.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, note) for number in numbers]
    try:
        yield asked
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
