"""Put the paper's claims to the test with small networks on simulated colonies.

    python benchmarks/claims/run.py --seeds 3            # run; writes docs/claims.json
    python benchmarks/claims/run.py --page               # writes docs/claims.md from it
    python benchmarks/claims/run.py --duel --minutes 10  # default against DoDNet

Everything that is finished is kept under ``--work``; the same command goes on where it
was ended. ``--only topology,slim`` runs some trials. Nothing else should run meanwhile,
for the time of a step is measured.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from claims_duel import run_duel
from claims_page import page
from claims_plan import BASE, DEPTH, PATCH, RATIOS, RIVALS, claims, trials

from napari_sparsessp import __version__
from napari_sparsessp.evaluation.trials import (
    Ground,
    Trial,
    read_result,
    run_trial,
    step_seconds,
)
from napari_sparsessp.networks.cost import count_cost
from napari_sparsessp.simulation.pool import fill_pool, open_colony
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.training.patches import Pair

ROOT = Path(__file__).resolve().parents[2]
STRUCTURES = tuple(CATALOGUE)
HELD_FIRST = 1_500_000  # seeds that nothing else learns from or is scored on
TRAINING_FIRST = 1_600_000


def colonies(work: Path, options: argparse.Namespace) -> tuple[list, list]:
    """Training and held-out colonies, simulated where they are missing."""
    folder = work / "colonies"
    groups = []
    for first, count, depth in (
        (TRAINING_FIRST, options.colonies, DEPTH + 8),
        (HELD_FIRST, options.held, DEPTH),
    ):
        seeds = range(first, first + count)
        shape = (depth, options.side, options.side)
        for number, _ in enumerate(fill_pool(folder, seeds, 1, shape=shape), 1):
            say(f"colony {number} of {count}")
        groups.append([open_colony(folder, seed) for seed in seeds])
    return groups[0], groups[1]


def ground_of(
    training: Iterable, held: Iterable, options: argparse.Namespace
) -> Ground:
    """One label a patch, as the paper's data have; all labels for scores."""
    pairs = [
        Pair(one.brightfield, [target], (label,))
        for one in training
        for label, target in enumerate(one.fluorescence)
    ]
    scored = [Pair(one.brightfield, one.fluorescence) for one in held]
    return Ground(pairs, scored, STRUCTURES, PATCH, batch=options.batch)


def costs_of(trial: Trial) -> dict[str, float]:
    """Parameters, and GMAC of one structure and of all."""
    one, every = (count_cost(trial.network, which, PATCH) for which in ([0], None))
    return {"parameters": one.parameters, "gmac": one.gmac, "gmac_all": every.gmac}


def timed(
    chosen: dict[str, Trial], ground: Ground, study: dict[str, Any], save: Callable
) -> None:
    """Measure a step of each trial that has none yet."""
    missing = [n for n in chosen if "step_seconds" not in study["trials"].get(n, {})]
    if missing:
        # The first training of a process is slower than any later one.
        step_seconds(chosen[missing[0]], ground)
    for name, trial in chosen.items():
        entry = study["trials"].setdefault(name, costs_of(trial))
        if "step_seconds" not in entry:
            say(f"timing {name}")
            entry["step_seconds"] = step_seconds(trial, ground)
            save()


def marks_of(name: str, study: dict[str, Any], options: argparse.Namespace) -> dict:
    """Steps after which a trial is scored, by what is equal then."""
    marks = {"steps": options.steps}
    if name in (*RIVALS, "slim"):
        entry, base = study["trials"][name], study["trials"][BASE]
        seconds = 60 * options.minutes_per_run
        marks["time"] = max(1, round(seconds / entry["step_seconds"]))
        marks["gmac"] = max(1, round(options.steps * base["gmac"] / entry["gmac"]))
    return marks


def run(options: argparse.Namespace) -> None:
    """Run what is missing; the JSON file is rewritten after each run."""
    work: Path = options.work
    study = claimed(work, options)

    def save() -> None:
        write(work / "study.json", study)

    chosen = chosen_trials(options.only)
    ground = ground_of(*colonies(work, options), options)
    timed({BASE: trials()[BASE], **chosen}, ground, study, save)
    jobs = [(seed, one) for seed in range(options.seeds) for one in chosen.values()]
    left = dict.fromkeys(range(len(jobs)), 0.0)
    for number, (_, trial) in enumerate(jobs):
        steps = max(marks_of(trial.name, study, options).values())
        left[number] = steps * study["trials"][trial.name]["step_seconds"]
    for number, (seed, trial) in enumerate(jobs):
        folder = work / "runs" / f"{trial.name.replace(' ', '_')}-{seed}"
        marks = marks_of(trial.name, study, options)
        say(
            f"[{number + 1}/{len(jobs)}] {trial.name}, seed {seed}, {marks}; at least "
            f"{sum(left.values()) / 60:.0f} minutes left"
        )
        began = time.monotonic()
        run_trial(trial, ground, seed, marks, folder)
        say(f"  {time.monotonic() - began:.0f} s")
        left.pop(number)
        write(options.out, collected(work, study))
    write(options.out, collected(work, study))


def claimed(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The study that a folder holds, or a new one; another one is refused."""
    asked = {
        name: getattr(options, name)
        for name in ("steps", "minutes_per_run", "colonies", "held", "side", "batch",
                     "threads")
    }  # fmt: skip
    path = work / "study.json"
    if path.exists():
        study = json.loads(path.read_text(encoding="utf-8"))
        if study["options"] != asked:
            raise SystemExit(
                f"{work} holds a study with other options, {study['options']}; ask for "
                "the same, or give another --work"
            )
        return study
    work.mkdir(parents=True, exist_ok=True)
    study = {
        "package": __version__,
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(),
                    "torch": torch.__version__},
        "options": asked,
        "trials": {},
    }  # fmt: skip
    write(path, study)
    return study


def collected(work: Path, study: dict[str, Any]) -> dict[str, Any]:
    """Everything that was found so far, for the page."""
    found = (read_result(folder) for folder in sorted((work / "runs").glob("*-*")))
    duel = work / "duel.json"
    return {
        "schema": 1,
        **study,
        "patch": [DEPTH, *PATCH],
        "ratios": list(RATIOS),
        "runs": [one for one in found if one is not None],
        "duel": json.loads(duel.read_text(encoding="utf-8")) if duel.exists() else None,
    }


def chosen_trials(only: str) -> dict[str, Trial]:
    """Trials whose name is given, or that a claim of a given group is about."""
    every = trials()
    if not only:
        return every
    words = {one.strip() for one in only.split(",")}
    groups = {claim.group for claim in claims()}
    unknown = words - set(every) - groups
    if unknown:
        raise SystemExit(
            f"no trial or group {', '.join(sorted(unknown))}; choose of "
            f"{', '.join([*sorted(groups), *every])}"
        )
    names = words & set(every)
    for claim in claims():
        if claim.group in words:
            names |= {claim.better, claim.worse}
    return {name: trial for name, trial in every.items() if name in names}


def cpu_name() -> str:
    """What the processor calls itself."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return names[0].strip() if names else platform.machine()


def write(path: Path, content: Any) -> None:
    """Write JSON so that no half file is ever found."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    part.replace(path)


def say(text: str) -> None:
    """Tell what is going on."""
    print(text, flush=True)


def main() -> None:
    """Run the study, the duel, or write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--page", action="store_true", help="write the page")
    parser.add_argument("--duel", action="store_true", help="default against DoDNet")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "claims.json")
    parser.add_argument("--work", type=Path, default=Path("claims-work"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=250, help="equal for all")
    parser.add_argument("--minutes-per-run", type=float, default=1.0, help="equal time")
    parser.add_argument("--only", default="", help="groups or trials, by commas")
    parser.add_argument("--colonies", type=int, default=24)
    parser.add_argument("--held", type=int, default=8)
    parser.add_argument("--side", type=int, default=96, help="pixels of a colony")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the duel")
    parser.add_argument("--pool", type=Path, help="of the duel; with validation/ in it")
    options = parser.parse_args()
    if options.page:
        study = json.loads(options.out.read_text(encoding="utf-8"))
        options.out.with_suffix(".md").write_text(page(study), encoding="utf-8")
        return
    # With one thread torch takes a slow way for a batch of one in 3D, which only
    # networks with a pass for each structure have.
    torch.set_num_threads(options.threads)
    if options.duel:
        options.work.mkdir(parents=True, exist_ok=True)
        write(options.work / "duel.json", run_duel(options, say))
        if (options.work / "study.json").exists():
            study = json.loads((options.work / "study.json").read_text("utf-8"))
            write(options.out, collected(options.work, study))
        return
    run(options)


if __name__ == "__main__":
    main()
