"""Put the paper's claims to the test with small networks on simulated colonies.

    python -m benchmarks.claims.study --seeds 3   # trains
    python -m benchmarks.claims.study --page      # writes the page

The first writes docs/generated/claims.json, the second claims.md beside it.

Everything that is finished is kept under ``--work``; the same command resumes.
``--only 3to2d,slim`` runs some trials. Nothing else should run meanwhile, because
the time of a step is measured.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.pages import GENERATED
from napari_sparsessp import __version__
from napari_sparsessp.evaluation.speed import describe_machine
from napari_sparsessp.files import atomic_write
from napari_sparsessp.networks import NetworkConfig

RATIOS = (2, 4, 8)
PATCH, DEPTH = (48, 48), 32
BASE = "3to2d"
RIVALS = ("3d", "2to3d", "3to2d", "2d", "multihead", "condnet", "tgnet", "repmode")
"""Trials that the default is held against at equal steps, time and GMAC."""

HELD_FIRST, TRAINING_FIRST = 1_500_000, 1_600_000  # seeds that nothing else uses
TIMED_STEPS = 6
"""Of which the fastest counts; the first ones set up."""

# DoDNet's U-Net with a quarter of the paper's widths and one level less.
SMALL = {
    "backbone": "dod",
    "topology": "3to2d",
    "conditioning": "dodnet",
    "encoder_widths": (8, 16, 32, 64),
    "encoder_blocks": (1, 1, 1, 1),
    "folded_width": 64,
    "groups": 4,
    "depth": DEPTH,
}
# The paper's 2D decoders have as many channels at full resolution as there are planes.
DECODERS = {"2d": (32, 32, 48), "3d": (8, 16, 32)}
# The shipped default, scaled down to what the small 3-to-2D DoDNet costs.
SLIM = {
    "encoder_widths": (12, 24, 48),
    "encoder_blocks": (1, 1, 2),
    "decoder_widths": (64, 72, 96, 128),
    "folded_width": 64,
    "depth": DEPTH,
    "standardised": True,
}


@dataclass(frozen=True)
class Trial:
    """One network, and the ratios that it is trained for and scored at."""

    name: str
    network: NetworkConfig
    ratios: tuple[int, ...] = RATIOS


def trials() -> dict[str, Trial]:
    """Return every trial by its name in the tables."""

    def small(**changes: Any) -> NetworkConfig:
        values = {**SMALL, **changes}
        values.setdefault("decoder_widths", DECODERS[values["topology"][-2:]])
        return NetworkConfig.model_validate(values)

    found = {name: small(topology=name) for name in ("3d", "2to3d", "3to2d", "2d")}
    for name in ("3to2d", "2to3d"):
        found[f"{name} projection-2d"] = small(topology=name, projection="2d")
    for name in ("multihead", "condnet", "tgnet", "repmode"):
        found[name] = small(conditioning=name)
    found["slim"] = NetworkConfig.model_validate(SLIM)
    every = {name: Trial(name, network) for name, network in found.items()}
    # Networks that take every fourth plane serve r = 4 alone; so does their rival.
    for topology in ("3to2d", "2d"):
        for mapping in ("prefix", "postfix", "none"):
            ratio = 1 if mapping == "prefix" else 4
            network = small(topology=topology, mapping=mapping, ratio=ratio)
            name = f"{topology} {mapping} r4"
            every[name] = Trial(name, network, (4,))
    return every


@dataclass(frozen=True)
class Claim:
    """One network is better than another, in the paper by so much at each ratio."""

    text: str
    better: str
    worse: str
    paper: dict[int, float]
    source: str


TABLES = {
    # DoDNet by topology and, in 3-to-2D, other methods at r = 2, 4, 8
    "Table 3, R²": {
        "3d": (0.4512, 0.4288, 0.4103),
        "2d": (0.3883, 0.3734, 0.3699),
        "2to3d": (0.4463, 0.4221, 0.4145),
        "3to2d": (0.4516, 0.4452, 0.4236),
        "condnet": (0.4501, 0.4281, 0.4205),
        "repmode": (0.4616, 0.4523, 0.4207),
        "tgnet": (0.4693, 0.4526, 0.4292),
    },
    "Table 2, MSE": {
        "3to2d": (0.5128, 0.5229, 0.5440),
        "3to2d projection-2d": (0.5351, 0.5405, 0.5660),
        "2to3d": (0.5244, 0.5367, 0.5535),
        "2to3d projection-2d": (0.5313, 0.5437, 0.5718),
    },
    # at r = 4
    "Tables 1 and 3, R²": {
        "3to2d prefix r4": (0.4452,),
        "3to2d postfix r4": (0.4172,),
        "3to2d none r4": (0.3794,),
        "2d prefix r4": (0.3734,),
        "2d postfix r4": (0.3632,),
        "2d none r4": (0.3243,),
    },
}
CLAIMS = (
    ("3-to-2D beats 3D", "3to2d", "3d"),
    ("3-to-2D beats 2-to-3D", "3to2d", "2to3d"),
    ("3-to-2D beats 2D", "3to2d", "2d"),
    ("2-to-3D beats 2D", "2to3d", "2d"),
    ("3-to-2D: prefix beats postfix", "3to2d prefix r4", "3to2d postfix r4"),
    ("3-to-2D: postfix beats none", "3to2d postfix r4", "3to2d none r4"),
    ("2D: prefix beats postfix", "2d prefix r4", "2d postfix r4"),
    ("2D: postfix beats none", "2d postfix r4", "2d none r4"),
    ("3-to-2D: projection in 3D beats 2D", "3to2d", "3to2d projection-2d"),
    ("2-to-3D: projection in 3D beats 2D", "2to3d", "2to3d projection-2d"),
    ("TGNet beats DoDNet", "tgnet", "3to2d"),
    ("TGNet beats CondNet", "tgnet", "condnet"),
    ("TGNet beats RepMode", "tgnet", "repmode"),
    ("RepMode beats DoDNet", "repmode", "3to2d"),
    ("DoDNet beats CondNet", "3to2d", "condnet"),
)


def claims() -> list[Claim]:
    """Return every claim that is put to the test, with the first table that has it."""
    found = []
    for text, better, worse in CLAIMS:
        pairs = ((s, t) for s, t in TABLES.items() if {better, worse} <= set(t))
        source, table = next(pairs)
        sign = -1 if source.endswith("MSE") else 1
        ratios = RATIOS if len(table[better]) > 1 else (4,)
        rows = zip(ratios, table[better], table[worse], strict=True)
        paper = {ratio: sign * (one - other) for ratio, one, other in rows}
        found.append(Claim(text, better, worse, paper, source))
    return found


# trials ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Ground:
    """What all trials have in common: pairs to learn from and to score, and how."""

    training: Sequence[Any]
    held: Sequence[Any]
    structures: tuple[str, ...]
    size: tuple[int, int] = PATCH
    batch: int = 2

    def recipe(self, trial: Trial) -> Any:
        """Return how patches are cut for a network."""
        from napari_sparsessp.training.patches import PatchRecipe

        network = trial.network
        return PatchRecipe(
            network.depth,
            *self.size,
            ratios=trial.ratios,
            noise=(0.01, 0.1),
            gain=0.2,
            tilt=0.0,
            clutter=0.0,
            thin=0.0,
            # A network that takes every r-th plane gets those that were measured.
            random_phase=network.ratio == 1,
            interpolation=network.interpolation,
            inputs=network.inputs,
            every=network.ratio,
        )

    def train(self, trial: Trial, steps: int, seed: int, folder: Path, listen=None):
        """Train at a constant rate: the state after n steps is always the same."""
        import torch

        from napari_sparsessp.networks import build_network
        from napari_sparsessp.training import loop

        plan = loop.TrainingPlan(
            minutes=0.0,
            steps=steps,
            batch=self.batch,
            learning_rate=2e-3,
            warm_up=0.0,
            schedule="constant",
            average=0.98,
            precision="fp32",
            seed=seed,
        )
        torch.manual_seed(seed)
        network, recipe = build_network(trial.network), self.recipe(trial)
        loop.train(network, self.training, recipe, plan, folder, listen=listen)

    def scores(self, trial: Trial, folder: Path) -> dict[str, Any]:
        """Score the averaged weights of the last state on the held-out pairs."""
        from napari_sparsessp.networks import build_network
        from napari_sparsessp.training.checkpoints import RunFolder
        from napari_sparsessp.training.validation import Validator

        network = build_network(trial.network)
        network.load_state_dict(RunFolder(folder).averaged())
        mapped = trial.network.interpolation
        validator = Validator(self.held, self.structures, trial.ratios, mapped)
        scores = validator(network.eval())["scores"]
        ratios = map(str, trial.ratios)
        r2 = {ratio: fmean(one[ratio] for one in scores.values()) for ratio in ratios}
        return {"r2": r2, "structures": scores}


def run_trial(
    trial: Trial, ground: Ground, seed: int, marks: dict[str, int], folder: Path
) -> dict[str, Any]:
    """Train a network and score it after each number of steps in `marks`; resumes."""
    path = folder / "result.json"
    result = read(path) or {"trial": trial.name, "seed": seed, "marks": {}}
    scored = {one["steps"]: one for one in result["marks"].values()}
    for name, steps in sorted(marks.items(), key=lambda mark: mark[1]):
        if steps not in scored:
            ground.train(trial, steps, seed, folder)
            scored[steps] = {"steps": steps, **ground.scores(trial, folder)}
        result["marks"][name] = scored[steps]
        write(path, result)
    return result


def step_seconds(trial: Trial, ground: Ground) -> float:
    """Measure a training step: the fastest of some, so that other work matters less."""
    moments: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        # The last step also saves.
        ground.train(
            *(trial, TIMED_STEPS + 1, 0, Path(folder)),
            lambda status: moments.append(time.perf_counter()),
        )
    moments = moments[:TIMED_STEPS]
    return min(b - a for a, b in zip(moments, moments[1:], strict=False))


# the study ---------------------------------------------------------------------------


def run(options: argparse.Namespace) -> None:
    """Run what is missing; the JSON file is rewritten after each trial."""
    work: Path = options.work
    study, chosen = opened(work, options), chosen_trials(options.only)
    ground = simulated_ground(work, options)
    measure_steps(chosen, ground, study, lambda: write(work / "study.json", study))
    jobs = [(seed, one) for seed in range(options.seeds) for one in chosen.values()]
    for number, (seed, trial) in enumerate(jobs, 1):
        marks = {"steps": options.steps}
        if trial.name in (*RIVALS, "slim"):
            entry, base = study["trials"][trial.name], study["trials"][BASE]
            seconds = 60 * options.minutes_per_run
            marks["time"] = max(1, round(seconds / entry["step_seconds"]))
            marks["gmac"] = max(1, round(options.steps * base["gmac"] / entry["gmac"]))
        print(f"[{number}/{len(jobs)}] {trial.name}, {seed}: {marks}", flush=True)
        folder = work / "runs" / f"{trial.name.replace(' ', '_')}-{seed}"
        run_trial(trial, ground, seed, marks, folder)
        runs = [read(path) for path in sorted((work / "runs").glob("*-*/result.json"))]
        place = {"patch": [DEPTH, *PATCH], "ratios": list(RATIOS), "runs": runs}
        write(options.out, {"schema": 1, **study, **place})


def simulated_ground(work: Path, options: argparse.Namespace) -> Ground:
    """Simulate colonies where they are missing; each patch has one label."""
    from napari_sparsessp.simulation.pool import fill_pool, open_colony
    from napari_sparsessp.structures import CATALOGUE
    from napari_sparsessp.training.patches import Pair

    folder, groups = work / "colonies", []
    for first, count, depth in (
        (TRAINING_FIRST, options.colonies, DEPTH + 8),
        (HELD_FIRST, options.held, DEPTH),
    ):
        seeds, shape = range(first, first + count), (depth, options.side, options.side)
        for number, _ in enumerate(fill_pool(folder, seeds, 1, shape=shape)):
            print(f"colony {number + 1} of {count}", flush=True)
        groups.append([open_colony(folder, seed) for seed in seeds])
    training = [
        Pair(one.brightfield, [target], (label,))
        for one in groups[0]
        for label, target in enumerate(one.fluorescence)
    ]
    held = [Pair(one.brightfield, one.fluorescence) for one in groups[1]]
    return Ground(training, held, tuple(CATALOGUE), batch=options.batch)


def measure_steps(
    chosen: dict[str, Trial], ground: Ground, study: dict[str, Any], save: Callable
) -> None:
    """Count the cost and measure the step of each trial that has none yet."""
    from napari_sparsessp.networks.cost import count_cost

    wanted = {BASE: trials()[BASE], **chosen}
    missing = {name: one for name, one in wanted.items() if name not in study["trials"]}
    for number, (name, trial) in enumerate(missing.items()):
        if number == 0:  # the first training of a process is slower than any later one
            step_seconds(trial, ground)
        one, every = (count_cost(trial.network, who, PATCH) for who in ([0], None))
        cost = {"parameters": one.parameters, "gmac": one.gmac, "gmac_all": every.gmac}
        study["trials"][name] = {**cost, "step_seconds": step_seconds(trial, ground)}
        save()


def opened(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the study that a folder holds, or a new one; refuse other options."""
    import torch

    names = ("steps", "minutes_per_run", "colonies", "held", "side", "batch", "threads")
    asked = {name: getattr(options, name) for name in names}
    path = work / "study.json"
    if study := read(path):
        if study["options"] != asked:
            raise SystemExit(
                f"{work} holds a study with other options, {study['options']}; ask for "
                "the same, or give another --work"
            )
        return study
    machine = describe_machine()
    machine = {name: machine[name] for name in ("cpu", "cores")}
    machine["torch"] = torch.__version__
    study = {"package": __version__, "machine": machine, "options": asked, "trials": {}}
    write(path, study)
    return study


def chosen_trials(only: str) -> dict[str, Trial]:
    """Return the trials of these names, or all."""
    every, wanted = trials(), {one.strip() for one in only.split(",")} - {""}
    if unknown := wanted - set(every):
        raise SystemExit(
            f"no trial {', '.join(sorted(unknown))}; choose of {', '.join(every)}"
        )
    return {name: one for name, one in every.items() if name in (wanted or every)}


def read(path: Path) -> Any:
    """Return what a JSON file holds; None where there is none."""
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def write(path: Path, content: Any) -> None:
    """Write JSON so that no half file is ever there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "result") as part:
        part.write_text(json.dumps(content, indent=1), encoding="utf-8")


def main() -> None:
    """Run the study, or write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--page", action="store_true", help="write the page")
    parser.add_argument("--out", type=Path, default=GENERATED / "claims.json")
    parser.add_argument("--work", type=Path, default=Path("claims-work"))
    parser.add_argument("--only", default="", help="trials, by commas")
    parser.add_argument("--minutes-per-run", type=float, default=1.0, help="equal time")
    for name, value, what in (
        ("seeds", 3, None),
        ("steps", 250, "equal for all"),
        ("colonies", 24, None),
        ("held", 8, None),
        ("side", 96, "pixels of a colony"),
        ("batch", 2, None),
        ("threads", 2, None),
    ):
        parser.add_argument(f"--{name}", type=int, default=value, help=what)
    options = parser.parse_args()
    if options.page:
        from benchmarks.claims.page import page

        text = page(read(options.out))
        options.out.with_suffix(".md").write_text(text, encoding="utf-8")
        return
    import torch

    # With one thread torch takes a slow way for a batch of one in 3D, which only
    # networks with a pass for each structure have.
    torch.set_num_threads(options.threads)
    run(options)


if __name__ == "__main__":
    main()
