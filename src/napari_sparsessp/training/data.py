"""The stacks that a training's config asks for: simulated colonies and real pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from napari_sparsessp.errors import InputError
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.resampling import resampled_size
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.training.config import Validation
from napari_sparsessp.training.pairs import Label, by_stack, read_labels
from napari_sparsessp.training.split import StackShape, cut_places, kept_stacks
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.simulation.pool import ColonyJob, PooledColony
    from napari_sparsessp.training.config import Pairs, Simulated, TrainConfig
    from napari_sparsessp.training.loop import Group
    from napari_sparsessp.training.patches import Pair, RenewedPairs
    from napari_sparsessp.training.resolve import Setup
    from napari_sparsessp.training.run import Stacks


def split_pairs(
    pairs: Sequence[Pair], splits: Sequence[str], validation: Validation
) -> tuple[list[Pair], list[Pair]]:
    """Divide stacks, or each stack, into training and validation.

    Parameters
    ----------
    splits
        ``train``, ``validation``, or empty where it is left open, for each pair. Where
        any is ``validation``, those left open are for training.

    Raises
    ------
    InputError
        There is only one stack, or too little of it.
    """
    told = [pair for pair, split in zip(pairs, splits, strict=True)
            if split == "validation"]  # fmt: skip
    rest = [pair for pair, split in zip(pairs, splits, strict=True)
            if split != "validation"]  # fmt: skip
    if told or not validation.share or not rest:
        return rest, told
    if validation.by != "stack":
        parts = [_cut(pair, validation) for pair in rest]
        return [one for one, _ in parts], [other for _, other in parts]
    free = [not split for split in splits]
    kept = kept_stacks([pair.labels for pair in pairs], free, validation)
    if not kept:
        raise InputError(
            "there is only one stack of each structure, so none can be kept back for "
            "validation; set validation.by to x or y to keep back a part of it, or "
            "validation.share to 0"
        )
    return (
        [pair for index, pair in enumerate(pairs) if index not in kept],
        [pairs[index] for index in sorted(kept)],
    )


def _cut(pair: Pair, validation: Validation) -> tuple[Pair, Pair]:
    axis = -2 if validation.by == "y" else -1
    size = pair.looks.shape[axis]
    try:
        end, begin = cut_places(size, validation)
    except ValueError:
        gap = f" and validation.gap takes {validation.gap}" if validation.gap else ""
        raise InputError(
            f"{pair.name or 'a stack'} has {size} pixels in {validation.by}, of which "
            f"validation.share {validation.share:g} keeps "
            f"{round(validation.share * size)}{gap}; change it"
        ) from None
    return _part(pair, axis, slice(0, end)), _part(pair, axis, slice(begin, None))


def _part(pair: Pair, axis: int, part: slice) -> Pair:
    area = (..., part, slice(None)) if axis == -2 else (..., part)
    return replace(
        pair,
        looks=pair.looks[area],
        targets=[target[area] for target in pair.targets],
        masks=[None if mask is None else mask[area] for mask in pair.masks],
    )


class Teller(Protocol):
    """Who is told what goes on: the command line's console, or a dock."""

    def warning(self, text: str) -> None:
        """Tell what was assumed or left out."""

    def progress(self, text: str, *, last: bool = False) -> None:
        """Tell how far things are; what it raises ends the reading."""


def find_labels(pairs: Pairs | None) -> list[Label]:
    """List the real pairs; reads no image yet."""
    if pairs is None:
        return []
    return read_labels(
        pairs.path,
        root=pairs.root,
        structure=pairs.structure,
        signal=pairs.signal,
        target=pairs.target,
    )


def look_at_stacks(
    labels: Sequence[Label], voxel_size: tuple[float, float, float]
) -> list[StackShape]:
    """Read the headers of all stacks: their names, structures and sizes.

    Parameters
    ----------
    labels
        Several of one stack and channel are one stack.
    voxel_size
        (z, y, x) in µm of the model's grid.

    Returns
    -------
    Those for testing are left out.

    Raises
    ------
    InputError
        An image cannot be opened.
    """
    shapes = []
    for group in by_stack(labels):
        path = group[0].path
        volume = load_volume(path)
        names = tuple(dict.fromkeys(one.structure for one in group))
        shape = grid_shape(volume, voxel_size)
        shapes.append(StackShape(path.name, names, shape, group[0].split))
    return shapes


def grid_shape(
    volume: Volume, voxel_size: tuple[float, float, float]
) -> tuple[int, int, int]:
    """Say how large a stack will be: its own planes, the model's pixels.

    Parameters
    ----------
    voxel_size
        (z, y, x) in µm of the model's grid.
    """
    sizes = volume.sizes
    pixel = volume.pixel_size or voxel_size[1:]
    height, width = (
        resampled_size(sizes[axis], own, wanted)
        for axis, own, wanted in zip("YX", pixel, voxel_size[1:], strict=True)
    )
    return sizes["Z"], height, width


def read_stacks(
    tell: Teller,
    setup: Setup,
    labels: Sequence[Label],
    group: Group,
    closing: ExitStack,
) -> Stacks:
    """Read, or simulate, everything and divide it.

    Parameters
    ----------
    group
        The main process simulates for all.
    closing
        Ends what goes on in the background.

    Raises
    ------
    SparseSSPError
        An image cannot be read, or the data do not fit the config.
    """
    from napari_sparsessp.structures import CATALOGUE
    from napari_sparsessp.training.run import Stacks

    config = setup.config
    simulated = config.data.simulated
    found = [one.structure for one in labels if one.split != "test"]
    structures = setup.structures([*found, *(CATALOGUE if simulated else ())])
    unused = sorted(set(found) - set(structures))
    if unused:
        tell.warning(
            f"labels of {', '.join(unused)} are left out; add them to "
            "model.structures if they shall be learnt"
        )
    words: list[str] = []
    if setup.source is not None:
        words.append(
            f"Fine-tuned from {setup.source.id} {setup.source.version}, which had "
            f"seen: {setup.source.trained_on}"
        )
    training: list[Pair] = []
    validation: list[Pair] = []
    if simulated is not None and not simulated.fresh:
        pairs, splits = fixed_colonies(tell, config, structures, words, group)
        training, validation = split_pairs(pairs, splits, config.validation)
    if labels:
        pairs, splits = _pairs(tell, setup, labels, structures, words)
        more, kept = split_pairs(pairs, splits, config.validation)
        training, validation = [*training, *more], [*validation, *kept]
    if simulated is None or not simulated.fresh:
        return Stacks(structures, training, validation, words)
    fresh, kept = fresh_colonies(
        tell, config, structures, words, group, training, closing
    )
    return Stacks(structures, fresh, [*kept, *validation], words)


def _pairs(
    tell: Teller,
    setup: Setup,
    labels: Sequence[Label],
    structures: tuple[str, ...],
    words: list[str],
) -> tuple[list[Pair], list[str]]:
    from napari_sparsessp.training.pairs import PairReader
    from napari_sparsessp.training.patches import Pair

    out = setup.config.out
    reader = PairReader(out / "cache", setup.voxel_size, setup.scaling, tell.warning)
    wanted = [one for one in labels if one.structure in structures]
    cached = reader.read(
        wanted,
        lambda done, total: tell.progress(
            f"reading stack {done} of {total}", last=done == total
        ),
    )
    pairs = []
    for one in cached:
        known = [name for name in structures if name in one.targets]
        masks = [one.masks.get(name) for name in known] if one.masks else []
        pairs.append(
            Pair(
                one.signal[None],
                [one.targets[name] for name in known],
                tuple(structures.index(name) for name in known),
                masks,
                one.name,
            )
        )
    counts = ", ".join(
        f"{name} {sum(name in one.targets for one in cached)}" for name in structures
        if any(name in one.targets for one in cached)
    )  # fmt: skip
    source = setup.config.data.pairs
    assert source is not None
    words.append(
        f"{len(cached)} stacks of {source.path.name}, with labels of: {counts}; "
        "those kept back for validation included."
    )
    return pairs, [one.split for one in cached]


HELD_OUT_SEEDS = 2**32
"""Added to the seed of colonies for validation: no fresh one ever comes so far."""


def fixed_colonies(
    tell: Teller,
    config: TrainConfig,
    structures: tuple[str, ...],
    words: list[str],
    group: Group,
) -> tuple[list[Pair], list[str]]:
    """Open a pool of colonies, simulated before where only their number is given.

    Returns
    -------
    splits
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
    tell: Teller,
    config: TrainConfig,
    structures: tuple[str, ...],
    words: list[str],
    group: Group,
    fixed: Sequence[Pair],
    closing: ExitStack,
) -> tuple[RenewedPairs, list[Pair]]:
    """Fill a stock of colonies that is renewed from now on.

    Returns
    -------
    training
        With the fixed ones, at the step where the training goes on.

    Raises
    ------
    SparseSSPError
        A colony cannot be simulated or written.
    """
    from napari_sparsessp.simulation.pool import FreshColonies, Renewal, open_colony
    from napari_sparsessp.training.checkpoints import saved_step
    from napari_sparsessp.training.patches import RenewedPairs

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


def _simulate(tell: Teller, job: ColonyJob, seeds: range, what: str) -> None:
    """Simulate those that are not there."""
    from napari_sparsessp.simulation.pool import fill_at_once

    for done in fill_at_once(job, seeds):
        tell.progress(
            f"simulated {what} {done} of {len(seeds)}", last=done == len(seeds)
        )


def _job(folder: Path, simulated: Simulated, device: str, group: Group) -> ColonyJob:
    from napari_sparsessp.prediction.device import choose_device
    from napari_sparsessp.simulation.pool import ColonyJob

    where = group.device or str(choose_device(device))
    return ColonyJob(str(folder), simulated.shape, simulated.looks, where)


def _wrapper(structures: tuple[str, ...]) -> Callable[[PooledColony], Pair]:
    """Give what makes a colony a pair with these structures' labels."""
    from napari_sparsessp.training.patches import Pair

    known = list(CATALOGUE)
    wanted = [name for name in structures if name in known]
    rows = [known.index(name) for name in wanted]
    labels = tuple(structures.index(name) for name in wanted)

    def wrap(colony: PooledColony) -> Pair:
        return Pair(
            colony.brightfield,
            [colony.fluorescence[row] for row in rows],
            labels,
            name=f"colony {colony.seed}",
        )

    return wrap
