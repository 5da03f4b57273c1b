"""The files of a training: its state, its best weights and its log.

Needs no torch to list trainings that were begun.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparsessp.errors import InputError
from napari_sparsessp.files import atomic_write, output_errors
from napari_sparsessp.training.config import TrainConfig, read_config
from napari_sparsessp.training.resolve import CONFIG_FILE, make_folder

if TYPE_CHECKING:
    import torch
    from torch import nn

STATE_NAME = "state.pt"
BEST_NAME = "best.pt"
LOG_NAME = "log.jsonl"
_ROOM = "make room and run the same command again: it resumes from the last state"


@dataclass(frozen=True)
class RunInfo:
    """A training that can be resumed."""

    folder: Path
    config: TrainConfig
    share: float  # of its budget that is used up
    best: float | None  # largest validation R² so far


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Read the log of a training; a line that a kill cut off is left out."""
    entries: list[dict[str, Any]] = []
    path = folder / LOG_NAME
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entries.append(json.loads(line))
            except ValueError:
                continue
    return entries


def has_state(folder: Path) -> bool:
    """Whether a folder holds a state from which a training can be resumed."""
    return (folder / STATE_NAME).exists()


def run_of(config: TrainConfig) -> RunInfo | None:
    """Describe a config's training; None where it cannot be resumed."""
    folder, budget = config.out, config.budget
    if not has_state(folder) or (folder / f"{config.model.id}.safetensors").exists():
        return None
    log = read_log(folder)
    last = log[-1] if log else {}
    done = last.get("step", 0) if budget.steps else last.get("spent", 0.0) / 60
    scores = [entry["r2"] for entry in log if entry.get("r2") is not None]
    share = done / (budget.steps or budget.minutes or 1)
    return RunInfo(folder, config, min(share, 1.0), max(scores, default=None))


def unfinished_runs(folder: Path) -> list[RunInfo]:
    """List the trainings that can be resumed, the last one first."""
    runs = []
    for file in folder.glob(f"*/{CONFIG_FILE}"):
        try:
            run = run_of(read_config(file)) if has_state(file.parent) else None
        except InputError:
            continue
        if run is not None:
            runs.append(run)
    runs.sort(key=lambda run: (run.folder / STATE_NAME).stat().st_mtime, reverse=True)
    return runs


@dataclass
class Position:
    """Position of a training in its budget."""

    step: int = 0
    spent: float = 0.0  # seconds
    batch: int = 1
    loss: float = math.nan  # running mean
    skipped: int = 0  # steps whose gradient was not finite
    best: float = -math.inf  # largest validation R² so far


class RunFolder:
    """The files of one training."""

    def __init__(self, folder: Path, owner: bool = True) -> None:
        self.folder, self._owner = folder, owner
        make_folder(folder)

    def load(
        self,
        network: nn.Module,
        average: nn.Module | None,
        optimiser: torch.optim.Optimizer,
        device: torch.device,
    ) -> Position | None:
        """Restore everything from the last state; None where there is none."""
        if not has_state(self.folder):
            self._cut_log(-1)
            return None
        try:
            state = self._read(STATE_NAME, device)
            network.load_state_dict(state["network"])
            if average is not None:
                average.load_state_dict(state["average"])
            optimiser.load_state_dict(state["optimiser"])
            position = Position(**state["progress"])
        except Exception as error:
            first = str(error).strip().splitlines() or [type(error).__name__]
            raise InputError(
                f"{self.folder / STATE_NAME} does not belong to this training "
                f"({first[0][:120]}); choose another output folder, or remove it to "
                "start again"
            ) from error
        self._cut_log(position.step)
        return position

    def save(
        self,
        network: nn.Module,
        average: nn.Module | None,
        optimiser: torch.optim.Optimizer,
        position: Position,
    ) -> None:
        """Write the state."""
        state = {
            "network": network.state_dict(),
            "average": None if average is None else average.state_dict(),
            "optimiser": optimiser.state_dict(),
            "progress": vars(position),
        }
        self._write(STATE_NAME, state)

    def save_best(self, network: nn.Module, position: Position) -> None:
        """Write the weights that validated best so far."""
        kept = {"network": network.state_dict(), "step": position.step}
        self._write(BEST_NAME, {**kept, "r2": position.best})

    def best(self) -> dict[str, Any] | None:
        """Return ``network`` (a state dict), ``step`` and ``r2`` of the best state."""
        return self._read(BEST_NAME) if (self.folder / BEST_NAME).exists() else None

    def averaged(self) -> dict[str, torch.Tensor]:
        """Return the weights of the last state, averaged where that was asked for."""
        state = self._read(STATE_NAME)
        return state["average"] or state["network"]

    def position(self) -> Position:
        """Return where the last state is."""
        return Position(**self._read(STATE_NAME)["progress"])

    def log(self, entry: Mapping[str, Any]) -> None:
        """Append a line to the log."""
        path = self.folder / LOG_NAME
        with output_errors(path, _ROOM), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def entries(self) -> list[dict[str, Any]]:
        """Read the log."""
        return read_log(self.folder)

    def _cut_log(self, step: int) -> None:
        """Drop what was logged after the state that is resumed."""
        path = self.folder / LOG_NAME
        if not path.exists() or not self._owner:
            return
        lines = [json.dumps(one) for one in self.entries() if one["step"] <= step]
        with atomic_write(path) as part:
            part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _read(self, name: str, device: Any = "cpu") -> dict[str, Any]:
        import torch

        return torch.load(self.folder / name, map_location=device, weights_only=True)

    def _write(self, name: str, content: dict[str, Any]) -> None:
        import torch

        with atomic_write(self.folder / name, advice=_ROOM) as part:
            try:
                torch.save(content, part)
            except RuntimeError as error:  # torch's of a full disk
                raise OSError(str(error)) from error


def saved_step(folder: Path) -> int:
    """Return the step of the state in a training's folder; 0 without a usable one."""
    import torch

    try:
        path = folder / STATE_NAME
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return int(state["progress"]["step"])
    except Exception:  # a damaged state is refused where it is loaded
        return 0
