"""The stacks that a training's config asks for: simulated colonies and real pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sparsessp.errors import InputError
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.resampling import resampled_size
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.tasks import Progress, no_progress
from napari_sparsessp.training.checkpoints import saved_step
from napari_sparsessp.training.config import Pairs, Simulated, Validation
from napari_sparsessp.training.pairs import (
    Label,
    Pair,
    PairReader,
    by_stack,
    read_labels,
)
from napari_sparsessp.training.resolve import ResolvedConfig
from napari_sparsessp.training.split import StackShape, stack_parts
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.simulation.pool import ColonyJob, PooledColony
    from napari_sparsessp.training.distributed import Group

HELD_OUT_SEEDS = 2**32
"""Added to the seed of colonies for validation: no fresh one ever comes so far."""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The stacks of a training."""

    # Of the network's outputs, which the pairs' labels count.
    structures: tuple[str, ...]
    # May change with the step; see `napari_sparsessp.training.patches.RenewedPairs`.
    training: Sequence[Pair]
    validation: Sequence[Pair]
    words: list[str]  # sentences for the card


def split_pairs(
    pairs: Sequence[Pair], validation: Validation
) -> tuple[list[Pair], list[Pair]]:
    """Divide stacks, or each stack, into training and validation."""
    shapes = []
    for pair in pairs:
        depth, height, width = pair.looks.shape[1:]
        outputs = tuple(f"{label:04}" for label in pair.labels)  # they sort as numbers
        shapes.append(
            StackShape(pair.name, outputs, (depth, height, width), pair.split)
        )
    learn: list[Pair] = []
    judge: list[Pair] = []
    for pair, parts in zip(pairs, stack_parts(shapes, validation), strict=True):
        for part, into in ((parts.learn, learn), (parts.judge, judge)):
            if part is not None:
                into.append(_part(pair, parts.axis, slice(*part)))
    return learn, judge


def _part(pair: Pair, axis: str, span: slice) -> Pair:
    if not axis:
        return pair
    area = (..., span, slice(None)) if axis == "y" else (..., span)
    return replace(
        pair,
        looks=pair.looks[area],
        targets=[target[area] for target in pair.targets],
        masks=[None if mask is None else mask[area] for mask in pair.masks],
    )


def find_labels(pairs: Pairs | None) -> list[Label]:
    """List the real pairs; reads no image yet."""
    if pairs is None:
        return []
    given = pairs.model_dump(include={"root", "structure", "signal", "target"})
    return read_labels(pairs.path, **given)


def look_at_stacks(
    labels: Sequence[Label], voxel_size: tuple[float, float, float]
) -> list[StackShape]:
    """Read the headers of all stacks but those for testing: names and sizes.

    `voxel_size` is (z, y, x) in µm of the model's grid.
    """
    shapes = []
    for group in by_stack(labels):
        path = group[0].path
        names = tuple(dict.fromkeys(label.structure for label in group))
        shape = grid_shape(load_volume(path), voxel_size)
        shapes.append(StackShape(path.name, names, shape, group[0].split))
    return shapes


def grid_shape(
    volume: Volume, voxel_size: tuple[float, float, float]
) -> tuple[int, int, int]:
    """Return (D, H, W) of a stack with its own planes and the model's pixels (µm)."""
    sizes = volume.sizes
    pixel = volume.pixel_size or voxel_size[1:]
    height, width = (
        resampled_size(sizes[axis], own, wanted)
        for axis, own, wanted in zip("YX", pixel, voxel_size[1:], strict=True)
    )
    return sizes["Z"], height, width


def read_stacks(
    resolved: ResolvedConfig,
    labels: Sequence[Label],
    group: Group,
    closing: ExitStack,
    progress: Progress = no_progress,
    warn: Callable[[str], None] = lambda text: None,
) -> TrainingData:
    """Read, or simulate, everything and divide it.

    The main process of a `group` simulates for all; `closing` ends what goes on in the
    background; `warn` is called with what was assumed or left out.
    """
    simulated, validation = resolved.config.data.simulated, resolved.config.validation
    shown = [label.structure for label in labels if label.split != "test"]
    structures = resolved.structures([*shown, *(CATALOGUE if simulated else ())])
    unused = sorted(set(shown) - set(structures))
    if unused:
        warn(
            f"labels of {', '.join(unused)} are left out; add them to "
            "model.structures if they shall be learnt"
        )
    words: list[str] = []
    if (source := resolved.source) is not None:
        words.append(
            f"Fine-tuned from {source.id} {source.version}, which had seen: "
            f"{source.trained_on}"
        )
    colonies = None
    if simulated is not None:
        colonies = _Colonies(resolved, simulated, structures, group, words, progress)
    training: list[Pair] = []
    judging: list[Pair] = []
    if colonies is not None and not colonies.simulated.fresh:
        training, judging = split_pairs(colonies.fixed(), validation)
    if labels:
        pairs = _read_pairs(resolved, labels, structures, words, progress, warn)
        more, kept = split_pairs(pairs, validation)
        share = resolved.config.data.pairs and resolved.config.data.pairs.share
        if share and more:
            # So often that patches of the pairs are this share of all.
            often = len(training) * share / (1 - share) / len(more)
            more = more * max(1, round(often))
        training, judging = [*training, *more], [*judging, *kept]
    if colonies is None or not colonies.simulated.fresh:
        return TrainingData(structures, training, judging, words)
    fresh, kept = colonies.fresh(training, closing)
    return TrainingData(structures, fresh, [*kept, *judging], words)


def _read_pairs(
    resolved: ResolvedConfig,
    labels: Sequence[Label],
    structures: tuple[str, ...],
    words: list[str],
    progress: Progress,
    warn: Callable[[str], None],
) -> list[Pair]:
    """Read real pairs through the cache."""
    source = resolved.config.data.pairs
    assert source is not None
    cache = resolved.config.out / "cache"
    reader = PairReader(cache, resolved.voxel_size, resolved.scaling, warn, source.crop)
    wanted = [label for label in labels if label.structure in structures]
    pairs = reader.read(wanted, structures, progress)
    counts = Counter(structures[label] for pair in pairs for label in pair.labels)
    listed = ", ".join(f"{name} {counts[name]}" for name in structures if counts[name])
    words.append(
        f"{len(pairs)} stacks of {source.path.name}, with labels of: {listed}; "
        "those kept back for validation included."
    )
    return pairs


@dataclass
class _Colonies:
    """The simulated colonies of a training."""

    resolved: ResolvedConfig
    simulated: Simulated
    structures: tuple[str, ...]
    group: Group
    words: list[str]
    progress: Progress

    @property
    def out(self) -> Path:
        return self.resolved.config.out / "colonies"

    def fixed(self) -> list[Pair]:
        """Open a pool, simulated before where a number is given."""
        from napari_sparsessp.simulation.pool import open_pool

        simulated = self.simulated
        folder = simulated.pool or self.out
        if simulated.colonies is not None:
            seeds = range(simulated.seed, simulated.seed + simulated.colonies)
            self._simulate(folder, seeds, "colony")
        training, validation = open_pool(folder), open_pool(folder / "validation")
        if not training:
            raise InputError(
                f"{folder} holds no simulated colony; check data.simulated.pool"
            )
        pairs = [self._pair(colony) for colony in training]
        pairs += [self._pair(colony, "validation") for colony in validation]
        self.words.append(
            f"{len(pairs)} simulated hiPSC colonies (napari_sparsessp.simulation), "
            "those kept back for validation included."
        )
        return pairs

    def fresh(
        self, fixed: Sequence[Pair], closing: ExitStack
    ) -> tuple[Sequence[Pair], list[Pair]]:
        """Fill a stock of colonies that is renewed from now on; and those to judge."""
        from napari_sparsessp.simulation.pool import FreshColonies, open_colony
        from napari_sparsessp.training.patches import RenewedPairs

        simulated, held = self.simulated, self.out / "validation"
        first = HELD_OUT_SEEDS + simulated.seed
        seeds = range(first, first + simulated.held_out)
        step = saved_step(self.resolved.config.out)
        if self.group.main:
            self._simulate(held, seeds, "colony for validation")
        stock = FreshColonies(
            self._job(self.out / "fresh"),
            simulated.seed,
            simulated.slots,
            simulated.every,
            self._pair,
            makes=self.group.main,
        )
        closing.callback(stock.close)
        for done in stock.fill(step):
            self.progress(done, simulated.slots, "simulated colony")
        self.words.append(
            "Fresh simulated hiPSC colonies (napari_sparsessp.simulation), "
            f"{simulated.slots} at a time, one of them replaced after every "
            f"{simulated.every} steps, seeds from {simulated.seed}; "
            f"{simulated.held_out} others for validation."
        )
        judging = [self._pair(open_colony(held, seed)) for seed in seeds]
        return RenewedPairs(fixed, stock.at, step), judging

    def _simulate(self, folder: Path, seeds: range, what: str) -> None:
        """Simulate those that are not there."""
        from napari_sparsessp.simulation.pool import fill_at_once

        for done in fill_at_once(self._job(folder), seeds):
            self.progress(done, len(seeds), f"simulated {what}")

    def _job(self, folder: Path) -> ColonyJob:
        from napari_sparsessp.prediction.device import choose_device
        from napari_sparsessp.simulation.pool import ColonyJob

        device = self.group.device or str(choose_device(self.resolved.config.device))
        return ColonyJob(
            str(folder), self.simulated.shape, self.simulated.looks, device
        )

    def _pair(self, colony: PooledColony, split: str = "") -> Pair:
        """Make a colony a pair with the labels of the wanted structures."""
        known = list(CATALOGUE)
        wanted = [name for name in self.structures if name in known]
        return Pair(
            colony.brightfield,
            [colony.fluorescence[known.index(name)] for name in wanted],
            tuple(self.structures.index(name) for name in wanted),
            name=f"colony {colony.seed}",
            split=split,
        )
