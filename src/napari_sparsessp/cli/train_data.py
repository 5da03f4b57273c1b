"""The stacks that a training's config asks for: simulated colonies and real pairs."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from napari_sparsessp.cli.console import Console
from napari_sparsessp.io.manifest import Label, read_labels

if TYPE_CHECKING:
    from napari_sparsessp.training.config import Pairs
    from napari_sparsessp.training.group import Group
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


def read_stacks(
    console: Console,
    setup: "Setup",
    labels: Sequence[Label],
    group: "Group",
    closing: ExitStack,
) -> "Stacks":
    """Read, or simulate, everything and divide it.

    Parameters
    ----------
    console : Console
    setup : Setup
    labels : sequence of Label
    group : Group
        The main process simulates for all.
    closing : ExitStack
        Ends what goes on in the background.

    Raises
    ------
    SparseSSPError
        An image cannot be read, or the data do not fit the config.
    """
    from napari_sparsessp.cli.train_colonies import fixed_colonies, fresh_colonies
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
    words: list[str] = []
    if setup.source is not None:
        words.append(
            f"Fine-tuned from {setup.source.id} {setup.source.version}, which had "
            f"seen: {setup.source.trained_on}"
        )
    training: list[Pair] = []
    validation: list[Pair] = []
    if simulated is not None and not simulated.fresh:
        pairs, splits = fixed_colonies(console, config, structures, words, group)
        training, validation = split_pairs(pairs, splits, config.validation)
    if labels:
        pairs, splits = _pairs(console, setup, labels, structures, words)
        more, kept = split_pairs(pairs, splits, config.validation)
        training, validation = [*training, *more], [*validation, *kept]
    if simulated is None or not simulated.fresh:
        return Stacks(structures, training, validation, words)
    fresh, kept = fresh_colonies(
        console, config, structures, words, group, training, closing
    )
    return Stacks(structures, fresh, [*kept, *validation], words)


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
