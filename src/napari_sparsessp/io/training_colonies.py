"""The simulated colonies of a training: a fixed pool, or a stock that is renewed."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import CATALOGUE

if TYPE_CHECKING:
    from napari_sparsessp.io.training_stacks import Teller
    from napari_sparsessp.simulation.pool import PooledColony
    from napari_sparsessp.simulation.workers import ColonyJob
    from napari_sparsessp.training.config import Simulated, TrainConfig
    from napari_sparsessp.training.group import Group
    from napari_sparsessp.training.patches import Pair
    from napari_sparsessp.training.renewal import RenewedPairs

HELD_OUT_SEEDS = 2**32
"""Added to the seed of colonies for validation: no fresh one ever comes so far."""


def fixed_colonies(
    tell: "Teller",
    config: "TrainConfig",
    structures: tuple[str, ...],
    words: list[str],
    group: "Group",
) -> tuple[list["Pair"], list[str]]:
    """Open a pool of colonies, simulated before where only their number is given.

    Returns
    -------
    pairs : list of Pair
    splits : list of str
        ``validation``, or empty where it is open, for each.

    Raises
    ------
    InputError
        The pool is empty.
    SparseSSPError
        A colony cannot be simulated or written.
    """
    from napari_sparsessp.simulation.pool import open_pool

    simulated = config.data.simulated
    assert simulated is not None
    folder = simulated.pool or config.out / "colonies"
    if simulated.colonies is not None:
        job = _job(folder, simulated, config.device, group)
        seeds = range(simulated.seed, simulated.seed + simulated.colonies)
        _simulate(tell, job, seeds, "colony")
    wrap = _wrapper(structures)
    pairs, splits = [], []
    for part, split in ((folder, ""), (folder / "validation", "validation")):
        for colony in open_pool(part):
            pairs.append(wrap(colony))
            splits.append(split)
    if not any(not split for split in splits):
        raise InputError(
            f"{folder} holds no simulated colony; check data.simulated.pool"
        )
    words.append(
        f"{len(pairs)} simulated hiPSC colonies (napari_sparsessp.simulation), those "
        "kept back for validation included."
    )
    return pairs, splits


def fresh_colonies(
    tell: "Teller",
    config: "TrainConfig",
    structures: tuple[str, ...],
    words: list[str],
    group: "Group",
    fixed: Sequence["Pair"],
    closing: ExitStack,
) -> tuple["RenewedPairs", list["Pair"]]:
    """Fill a stock of colonies that is renewed from now on.

    Returns
    -------
    training : RenewedPairs
        With the fixed ones, at the step where the training goes on.
    validation : list of Pair

    Raises
    ------
    SparseSSPError
        A colony cannot be simulated or written.
    """
    from napari_sparsessp.simulation.fresh import FreshColonies, Renewal
    from napari_sparsessp.simulation.pool import open_colony
    from napari_sparsessp.training.renewal import RenewedPairs
    from napari_sparsessp.training.state import saved_step

    simulated = config.data.simulated
    assert simulated is not None
    held = config.out / "colonies" / "validation"
    first = HELD_OUT_SEEDS + simulated.seed
    seeds = range(first, first + simulated.held_out)
    wrap, step = _wrapper(structures), saved_step(config.out)
    job = _job(held, simulated, config.device, group)
    if group.main:
        _simulate(tell, job, seeds, "colony for validation")
    renewal = Renewal(simulated.seed, simulated.slots, simulated.every)
    job = _job(config.out / "colonies" / "fresh", simulated, config.device, group)
    stock = FreshColonies(job, renewal, wrap, makes=group.main)
    closing.callback(stock.close)
    for done in stock.fill(step):
        tell.progress(
            f"simulated colony {done} of {renewal.slots}", last=done == renewal.slots
        )
    words.append(
        f"Fresh simulated hiPSC colonies (napari_sparsessp.simulation), "
        f"{renewal.slots} at a time, one of them replaced after every {renewal.every} "
        f"steps, seeds from {renewal.seed}; {simulated.held_out} others for validation."
    )
    pairs = RenewedPairs(fixed, stock.at, step)
    return pairs, [wrap(open_colony(held, seed)) for seed in seeds]


def _simulate(tell: "Teller", job: "ColonyJob", seeds: range, what: str) -> None:
    """Simulate those that are not there."""
    from napari_sparsessp.simulation.fresh import fill_at_once

    for done in fill_at_once(job, seeds):
        tell.progress(
            f"simulated {what} {done} of {len(seeds)}", last=done == len(seeds)
        )


def _job(
    folder: Path, simulated: "Simulated", device: str, group: "Group"
) -> "ColonyJob":
    from napari_sparsessp.prediction.device import choose_device
    from napari_sparsessp.simulation.workers import ColonyJob

    where = group.device or str(choose_device(device))
    return ColonyJob(str(folder), simulated.shape, simulated.looks, where)


def _wrapper(structures: tuple[str, ...]) -> Callable[["PooledColony"], "Pair"]:
    """Give what makes a colony a pair with these structures' labels."""
    from napari_sparsessp.training.patches import Pair

    known = list(CATALOGUE)
    wanted = [name for name in structures if name in known]
    rows = [known.index(name) for name in wanted]
    labels = tuple(structures.index(name) for name in wanted)

    def wrap(colony: "PooledColony") -> Pair:
        return Pair(
            colony.brightfield,
            [colony.fluorescence[row] for row in rows],
            labels,
            name=f"colony {colony.seed}",
        )

    return wrap
