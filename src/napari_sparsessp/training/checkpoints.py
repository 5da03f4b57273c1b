"""Which trainings were begun and not ended; needs no torch."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.training.config import TrainConfig, read_config
from napari_sparsessp.training.resolve import CONFIG_FILE

if TYPE_CHECKING:
    import torch
    from torch import nn

STATE_NAME = "state.pt"
BEST_NAME = "best.pt"
LOG_NAME = "log.jsonl"


@dataclass(frozen=True)
class RunInfo:
    """A training that can go on.

    Attributes
    ----------
    share
        Of its budget that is used up.
    best
        Largest validation R² so far.
    """

    folder: Path
    config: TrainConfig
    share: float
    best: float | None


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Read what a training has logged; a line that a kill cut off is left out."""
    found: list[dict[str, Any]] = []
    path = folder / LOG_NAME
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return found


def has_state(folder: Path) -> bool:
    """Tell whether a folder holds a training's state to go on with."""
    return (folder / STATE_NAME).exists()


def look_at_run(folder: Path) -> RunInfo | None:
    """Describe a training that was stopped; None where there is none to go on with.

    Parameters
    ----------
    folder
        A run's folder, with its ``train.yaml`` and its state.
    """
    if not has_state(folder) or not (folder / CONFIG_FILE).exists():
        return None
    try:
        return run_of(read_config(folder / CONFIG_FILE))
    except InputError:
        return None


def run_of(config: TrainConfig) -> RunInfo | None:
    """Say how far a config's training is; None where there is none to go on with."""
    folder = config.out
    if not has_state(folder):
        return None
    if (config.out / f"{config.model.id}.safetensors").exists():
        return None
    log = read_log(folder)
    last = log[-1] if log else {}
    budget = config.budget
    done = last.get("step", 0) if budget.steps else last.get("spent", 0.0) / 60
    scores = [one["r2"] for one in log if one.get("r2") is not None]
    share = done / (budget.steps or budget.minutes or 1)
    return RunInfo(folder, config, min(share, 1.0), max(scores, default=None))


def unfinished_runs(folder: Path) -> list[RunInfo]:
    """List the trainings of a folder that can go on, the last one first.

    Parameters
    ----------
    folder
        As `napari_sparsessp.training.resolve.trainings_folder` gives it.
    """
    if not folder.is_dir():
        return []
    runs = [look_at_run(one) for one in folder.iterdir() if one.is_dir()]
    known = [one for one in runs if one is not None]
    return sorted(
        known, key=lambda one: (one.folder / STATE_NAME).stat().st_mtime, reverse=True
    )


@dataclass
class Progress:
    """Where a training is.

    Attributes
    ----------
    step
        Steps done.
    spent
        Seconds.
    batch
        Patches of a step; halved where memory ran out.
    loss
        Running mean.
    skipped
        Steps whose gradient was not finite.
    best
        Largest validation R² so far.
    """

    step: int = 0
    spent: float = 0.0
    batch: int = 1
    loss: float = math.nan
    skipped: int = 0
    best: float = -math.inf


class RunFolder:
    """The files of one training.

    Parameters
    ----------
    folder
        Made if it is missing.
    owner
        False in a process that only reads; another one writes.

    Raises
    ------
    OutputError
        It cannot be made.
    """

    def __init__(self, folder: Path, owner: bool = True) -> None:
        self.folder, self._owner = folder, owner
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot write into {folder}: {error.strerror}; choose another place"
            ) from error

    def load(
        self,
        network: nn.Module,
        average: nn.Module | None,
        optimiser: torch.optim.Optimizer,
        device: torch.device,
    ) -> Progress | None:
        """Put everything as it was; None where nothing has been saved.

        Raises
        ------
        InputError
            The state is damaged or of another network.
        """
        import torch

        path = self.folder / STATE_NAME
        if not path.exists():
            self._cut_log(-1)
            return None
        try:
            state = torch.load(path, map_location=device, weights_only=True)
            network.load_state_dict(state["network"])
            if average is not None:
                average.load_state_dict(state["average"])
            optimiser.load_state_dict(state["optimiser"])
            progress = Progress(**state["progress"])
        except Exception as error:
            first = str(error).strip().splitlines() or [type(error).__name__]
            raise InputError(
                f"{path} does not belong to this training ({first[0][:120]}); choose "
                "another output folder, or remove it to begin anew"
            ) from error
        self._cut_log(progress.step)
        return progress

    def save(
        self,
        network: nn.Module,
        average: nn.Module | None,
        optimiser: torch.optim.Optimizer,
        progress: Progress,
    ) -> None:
        """Write the state."""
        state = {
            "network": network.state_dict(),
            "average": None if average is None else average.state_dict(),
            "optimiser": optimiser.state_dict(),
            "progress": vars(progress),
        }
        self._write(STATE_NAME, state)

    def save_best(self, network: nn.Module, progress: Progress) -> None:
        """Write the weights that validated best so far."""
        kept = {"network": network.state_dict(), "step": progress.step}
        self._write(BEST_NAME, {**kept, "r2": progress.best})

    def best(self) -> dict[str, Any] | None:
        """Give ``network`` (a state dict), ``step`` and ``r2``, if there is a best."""
        import torch

        path = self.folder / BEST_NAME
        if not path.exists():
            return None
        return torch.load(path, map_location="cpu", weights_only=True)

    def has_state(self) -> bool:
        """Tell whether there is a state to go on with."""
        return (self.folder / STATE_NAME).exists()

    def averaged(self) -> dict[str, torch.Tensor]:
        """Give the weights of the last state, averaged where that was asked for."""
        state = self._state()
        return state["average"] or state["network"]

    def progress(self) -> Progress:
        """Say where the last state is."""
        return Progress(**self._state()["progress"])

    def _state(self) -> dict[str, Any]:
        import torch

        path = self.folder / STATE_NAME
        return torch.load(path, map_location="cpu", weights_only=True)

    def log(self, entry: dict[str, Any]) -> None:
        """Append a line."""
        path = self.folder / LOG_NAME
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise OutputError(
                f"cannot write {path}: {error.strerror}; make room and run the same "
                "command again: it goes on from the last state"
            ) from error

    def entries(self) -> list[dict[str, Any]]:
        """Read the log; a line that a kill cut off is left out."""
        return read_log(self.folder)

    def _cut_log(self, step: int) -> None:
        """Forget what was logged after the state that is gone on with."""
        path = self.folder / LOG_NAME
        if not path.exists() or not self._owner:
            return
        lines = [json.dumps(one) for one in self.entries() if one["step"] <= step]
        part = path.with_suffix(".part")
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        part.replace(path)

    def _write(self, name: str, content: dict[str, Any]) -> None:
        import torch

        path = self.folder / name
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            torch.save(content, part)
            part.replace(path)
        except (OSError, RuntimeError) as error:
            raise OutputError(
                f"cannot write {path}: {error}; make room and run the same command "
                "again: it goes on from the last state"
            ) from error
        finally:
            part.unlink(missing_ok=True)


def saved_step(folder: Path) -> int:
    """Steps that a folder's state has behind it; 0 where there is none to go on with.

    Parameters
    ----------
    folder
        A training's output folder.
    """
    import torch

    try:
        state = torch.load(
            folder / STATE_NAME, map_location="cpu", weights_only=True, mmap=True
        )
        return int(state["progress"]["step"])
    except Exception:  # a damaged state is told where it is loaded
        return 0
