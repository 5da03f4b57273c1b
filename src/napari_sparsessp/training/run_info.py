"""Which trainings were begun and not ended; needs no torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_sparsessp.errors import InputError
from napari_sparsessp.training.config import TrainConfig
from napari_sparsessp.training.config_file import read_config
from napari_sparsessp.training.quick import CONFIG_FILE

STATE_NAME = "state.pt"
BEST_NAME = "best.pt"
LOG_NAME = "log.jsonl"


@dataclass(frozen=True)
class RunInfo:
    """A training that can go on.

    Attributes
    ----------
    folder : Path
    config : TrainConfig
    share : float
        Of its budget that is used up.
    best : float or None
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
    folder : Path
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
    folder : Path
        As `napari_sparsessp.training.quick.trainings_folder` gives it.
    """
    if not folder.is_dir():
        return []
    runs = [look_at_run(one) for one in folder.iterdir() if one.is_dir()]
    known = [one for one in runs if one is not None]
    return sorted(
        known, key=lambda one: (one.folder / STATE_NAME).stat().st_mtime, reverse=True
    )
