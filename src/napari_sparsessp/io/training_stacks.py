"""The stacks that a training's config asks for: simulated colonies and real pairs."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from napari_sparsessp.io.manifest import Label, by_stack, read_labels
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.resampling import resampled_size
from napari_sparsessp.training.split_plan import StackShape
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.training.config import Pairs
    from napari_sparsessp.training.group import Group
    from napari_sparsessp.training.patches import Pair
    from napari_sparsessp.training.run import Stacks
    from napari_sparsessp.training.setup import Setup


class Teller(Protocol):
    """Who is told what goes on: the command line's console, or a dock."""

    def warning(self, text: str) -> None:
        """Tell what was assumed or left out."""

    def progress(self, text: str, *, last: bool = False) -> None:
        """Tell how far things are; what it raises ends the reading."""


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


def look_at_stacks(
    labels: Sequence[Label], voxel_size: tuple[float, float, float]
) -> list[StackShape]:
    """Read the headers of all stacks: their names, structures and sizes.

    Parameters
    ----------
    labels : sequence of Label
        Several of one stack and channel are one stack.
    voxel_size : tuple of float
        (z, y, x) in µm of the model's grid.

    Returns
    -------
    list of StackShape
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
    volume : Volume
    voxel_size : tuple of float
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
    setup: "Setup",
    labels: Sequence[Label],
    group: "Group",
    closing: ExitStack,
) -> "Stacks":
    """Read, or simulate, everything and divide it.

    Parameters
    ----------
    tell : Teller
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
    from napari_sparsessp.io.training_colonies import fixed_colonies, fresh_colonies
    from napari_sparsessp.structures import CATALOGUE
    from napari_sparsessp.training.run import Stacks
    from napari_sparsessp.training.splitting import split_pairs

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
        share = config.data.pairs and config.data.pairs.share
        if share and more:
            # So often that patches of the pairs are this share of all.
            often = len(training) * share / (1 - share) / len(more)
            more = more * max(1, round(often))
        training, validation = [*training, *more], [*validation, *kept]
    if simulated is None or not simulated.fresh:
        return Stacks(structures, training, validation, words)
    fresh, kept = fresh_colonies(
        tell, config, structures, words, group, training, closing
    )
    return Stacks(structures, fresh, [*kept, *validation], words)


def _pairs(
    tell: Teller,
    setup: "Setup",
    labels: Sequence[Label],
    structures: tuple[str, ...],
    words: list[str],
) -> tuple[list["Pair"], list[str]]:
    from napari_sparsessp.io.pairs import PairReader
    from napari_sparsessp.training.patches import Pair

    out = setup.config.out
    source = setup.config.data.pairs
    assert source is not None
    reader = PairReader(
        out / "cache",
        setup.voxel_size,
        setup.scaling,
        tell.warning,
        source.crop,
    )
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
    words.append(
        f"{len(cached)} stacks of {source.path.name}, with labels of: {counts}; "
        "those kept back for validation included."
    )
    return pairs, [one.split for one in cached]
