"""The stacks that a training's config asks for: simulated colonies and real pairs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sparsessp.cli.console import Console
from napari_sparsessp.errors import InputError
from napari_sparsessp.io.manifest import Label, read_labels

if TYPE_CHECKING:
    from napari_sparsessp.training.config import Pairs, Simulated
    from napari_sparsessp.training.patches import Pair
    from napari_sparsessp.training.run import Stacks
    from napari_sparsessp.training.setup import Setup


def find_labels(pairs: "Pairs | None") -> list[Label]:
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


def read_stacks(console: Console, setup: "Setup", labels: Sequence[Label]) -> "Stacks":
    """Read, or simulate, everything and divide it.

    Raises
    ------
    SparseSSPError
        An image cannot be read, or the data do not fit the config.
    """
    from napari_sparsessp.structures import CATALOGUE
    from napari_sparsessp.training.run import Stacks
    from napari_sparsessp.training.splitting import split_pairs

    config = setup.config
    simulated = config.data.simulated
    found = [one.structure for one in labels if one.split != "test"]
    structures = setup.structures([*found, *(CATALOGUE if simulated else ())])
    unused = sorted(set(found) - set(structures))
    if unused:
        console.warning(
            f"labels of {', '.join(unused)} are left out; add them to "
            "model.structures if they shall be learnt"
        )
    stacks = Stacks(structures, [], [], [])
    if setup.source is not None:
        stacks.words.append(f"Fine-tuned from {setup.source.id} "
                            f"{setup.source.version}, which had seen: "
                            f"{setup.source.trained_on}")  # fmt: skip
    groups = []
    if simulated is not None:
        device = config.device
        groups.append(
            _colonies(console, simulated, config.out, device, structures, stacks.words)
        )
    if labels:
        groups.append(_pairs(console, setup, labels, structures, stacks.words))
    for pairs, splits in groups:
        training, validation = split_pairs(pairs, splits, config.validation)
        stacks.training.extend(training)
        stacks.validation.extend(validation)
    return stacks


def _pairs(
    console: Console,
    setup: "Setup",
    labels: Sequence[Label],
    structures: tuple[str, ...],
    words: list[str],
) -> tuple[list["Pair"], list[str]]:
    from napari_sparsessp.io.pairs import PairReader
    from napari_sparsessp.training.patches import Pair

    out = setup.config.out
    reader = PairReader(out / "cache", setup.voxel_size, setup.scaling, console.warning)
    wanted = [one for one in labels if one.structure in structures]
    cached = reader.read(
        wanted,
        lambda done, total: console.progress(
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


def _colonies(
    console: Console,
    simulated: "Simulated",
    out: Path,
    device: str,
    structures: tuple[str, ...],
    words: list[str],
) -> tuple[list["Pair"], list[str]]:
    from napari_sparsessp.prediction.device import choose_device
    from napari_sparsessp.simulation.pool import fill_pool, open_pool
    from napari_sparsessp.structures import CATALOGUE
    from napari_sparsessp.training.patches import Pair

    folder = simulated.pool or out / "colonies"
    if simulated.colonies is not None:
        seeds = range(simulated.seed, simulated.seed + simulated.colonies)
        where = str(choose_device(device))
        for done, _ in enumerate(fill_pool(folder, seeds, simulated.looks, where), 1):
            console.progress(
                f"simulated colony {done} of {len(seeds)}", last=done == len(seeds)
            )
    known = list(CATALOGUE)
    wanted = [name for name in structures if name in known]
    pairs, splits = [], []
    for part, split in ((folder, ""), (folder / "validation", "validation")):
        for colony in open_pool(part):
            pairs.append(
                Pair(
                    colony.brightfield,
                    [colony.fluorescence[known.index(name)] for name in wanted],
                    tuple(structures.index(name) for name in wanted),
                    name=f"colony {colony.seed}",
                )
            )
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
