"""What a checkpoint does not say, and what suggests itself."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_sparsessp.errors import InputError, ModelError
from napari_sparsessp.models.importing.found import Question
from napari_sparsessp.structures import CATALOGUE, find_structure

PUBLISHED_VOXEL = (0.29, 0.29, 0.29)
"""µm (z, y, x) of the grid that all three methods were trained on."""

PUBLISHED_SCALING = "zscore"
"""All three subtract the mean of the whole stack and divide by its deviation."""

PUBLISHED_TWELVE = tuple(
    structure.id
    for structure in sorted(CATALOGUE.values(), key=lambda one: one.dataset)
)
"""The published data sets in the order of their task numbers: alphabetical."""

LARGEST_RATIO = 64

_STRUCTURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.+-]{0,63}")
_RATIO = re.compile(r"(?<![a-z0-9])(?:r|x|ratio[ _-]?)(\d{1,2})(?![0-9])", re.ASCII)


def questions_for(
    path: Path,
    outputs: int,
    structures: Sequence[str] | None,
    ratio: int | None,
    *,
    depth: int | None = None,
    guess: bool = False,
) -> tuple[Question, ...]:
    """List what has to be asked, with what suggests itself.

    Parameters
    ----------
    path : Path
        The file; its name may say the ratio or the structure.
    outputs : int
        Structures of the network.
    structures, ratio
        What is known; None is asked for.
    depth : int, optional
        Planes of the window, of which the ratio must be a divisor.
    guess : bool
        Look for the structure in the file's name.
    """
    questions = []
    if structures is None:
        questions.append(_ask_structures(path, outputs, guess=guess))
    if ratio is None:
        found = ratio_in_name(path, depth)
        questions.append(
            Question("ratio", found, found is not None, "in the file's name")
            if found is not None
            else Question("ratio")
        )
    published = "as published"
    questions.append(Question("voxel_size", PUBLISHED_VOXEL, True, published))
    questions.append(Question("scaling", PUBLISHED_SCALING, True, published))
    return tuple(questions)


def ratio_in_name(path: Path, depth: int | None = None) -> int | None:
    """Read the ratio from ``best_r8.pth``, ``3to2d_x8.pth`` or ``demo_x8/best.pth``."""
    for name in (path.stem, path.parent.name):
        ratios = {int(match) for match in _RATIO.findall(name.lower())}
        fitting = {
            ratio
            for ratio in ratios
            if 1 <= ratio <= LARGEST_RATIO and (depth is None or depth % ratio == 0)
        }
        if len(fitting) == 1:
            return fitting.pop()
    return None


def named_structures(
    names: Sequence[Any] | None, outputs: int, path: Path
) -> tuple[str, ...] | None:
    """Give the structures that a file names, if they are as many as its outputs.

    Raises
    ------
    ModelError
        A name is not one that can be kept: the file was tampered with.
    """
    if names is None or len(names) != outputs:
        return None
    try:
        return structure_ids(names)
    except InputError as error:
        raise ModelError(
            f"checkpoint {path} names its structures in an odd way: {error}"
        ) from error


def structure_ids(names: Sequence[Any]) -> tuple[str, ...]:
    """Turn names of structures into ids; data sets of the paper are understood.

    Raises
    ------
    InputError
        A name cannot be an id, or two mean the same structure.
    """
    ids = []
    for name in names:
        if not isinstance(name, str) or not _STRUCTURE.fullmatch(name.strip()):
            shown = repr(name)[:60]
            raise InputError(
                f"{shown} cannot be the name of a structure; use letters, digits and _"
            )
        ids.append(_structure_id(name.strip()))
    if len(set(ids)) < len(ids):
        twice = next(one for one in ids if ids.count(one) > 1)
        raise InputError(f"structure {twice} is named twice; name each output once")
    return tuple(ids)


def _structure_id(name: str) -> str:
    try:
        return find_structure(name).id
    except InputError:
        return name.lower().replace(" ", "_")


def _ask_structures(path: Path, outputs: int, *, guess: bool) -> Question:
    if outputs == len(PUBLISHED_TWELVE):
        return Question(
            "structures", PUBLISHED_TWELVE, True, "the published twelve, in order"
        )
    if guess and outputs == 1:
        for name in (path.stem, path.parent.name):
            try:
                found = find_structure(name).id
            except InputError:
                continue
            return Question("structures", (found,), False, "in the file's name")
    return Question("structures")
