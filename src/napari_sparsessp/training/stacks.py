"""Write layers as files that a training reads, so that its config runs anywhere.

As they are now: with corrected voxel sizes, without other times and channels.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.files import atomic_write
from napari_sparsessp.io.ome import OmeMetadata, write_ome_tiff
from napari_sparsessp.tasks import Progress, no_progress
from napari_sparsessp.training.pairs import Label, write_list
from napari_sparsessp.training.resolve import make_folder
from napari_sparsessp.volume import Volume

LIGHT = "transmitted light"
"""Name of its channel in the files that are written."""


@dataclass(frozen=True, eq=False)
class TrainingStack:
    """One specimen in memory, or lazily so."""

    name: str
    light: Volume  # ZYX
    # Structure id to its fluorescence: ZYX, as many planes as the light, or one.
    truths: Mapping[str, Volume]
    mask: Volume | None = None  # above 0 where the truths count
    split: str = ""  # ``train`` or ``validation``; empty where it is left open


def check_stack(stack: TrainingStack) -> None:
    """Raise InputError where an image of a stack shows another field; says which."""
    if not stack.truths:
        raise InputError(
            f"{stack.name} has no fluorescence to learn from; tick a layer that shows "
            "what shall be predicted"
        )
    depth, *area = stack.light.shape
    others = {f"the truth of {name}": one for name, one in stack.truths.items()}
    if stack.mask is not None:
        others["the mask"] = stack.mask
    for what, one in others.items():
        _check_place(stack, what, one)
        planes, *field = one.shape
        if field == area and 1 < depth < planes:
            raise InputError(
                f"the transmitted light of {stack.name} has {depth} planes and {what} "
                f"{planes}: training needs a dense bright-field stack; sparse ones "
                "are made from it"
            )
        if field != area or planes not in (1, depth):
            raise InputError(
                f"{what} has {_extent(one)} voxels and the transmitted light of "
                f"{stack.name} {_extent(stack.light)}; both must show the same field, "
                "with as many planes or one: crop or resample one of them"
            )
        mine, its = stack.light.pixel_size, one.pixel_size
        if mine and its and not np.allclose(mine, its, rtol=0.02):
            raise InputError(
                f"{what} has pixels of {its[1]:g} µm and the transmitted light of "
                f"{stack.name} {mine[1]:g} µm; correct the scale of one of the layers"
            )


def _check_place(stack: TrainingStack, what: str, one: Volume) -> None:
    """Check that two layers lie on each other: pixels are compared by their number."""
    light = stack.light
    pixel = light.pixel_size or (1.0, 1.0)
    shift = np.subtract(one.origin, light.origin)[1:]
    if (np.abs(shift) > np.asarray(pixel)).any():
        y, x = shift
        raise InputError(
            f"{what} is shifted by {y:.2g} (y) and {x:.2g} (x) against the transmitted "
            f"light of {stack.name}; crop or register them to the same field"
        )


def write_stacks(
    stacks: Sequence[TrainingStack],
    folder: Path,
    list_path: Path,
    step: float,
    progress: Progress = no_progress,
) -> Path:
    """Write stacks as OME-TIFF, and a CSV that lists them for a training.

    `step` is µm between planes, where only the pixel size of a stack is known.
    """
    labels: list[Label] = []
    for number, stack in enumerate(stacks):
        check_stack(stack)
        progress(number, len(stacks), f"copying {stack.name}")
        slug = "-".join(re.findall(r"\w+", stack.name))[:40] or "stack"
        name = f"{number + 1:02}_{slug}.ome.tif"
        labels += _written(stack, folder / name, step)
    return write_list(labels, list_path)


def _written(stack: TrainingStack, path: Path, step: float) -> list[Label]:
    """Write the light and all truths as deep as it into one file, others beside it."""
    voxel = stack.light.voxel_size
    if voxel is None and stack.light.pixel_size is not None:
        voxel = (step, *stack.light.pixel_size)
    deep = {k: v for k, v in stack.truths.items() if v.shape == stack.light.shape}
    _write(path, [stack.light, *deep.values()], [LIGHT, *deep], voxel)
    stem = path.name.removesuffix(".ome.tif")
    mask = None
    if stack.mask is not None:
        mask = path.with_name(f"{stem}_mask.ome.tif")
        _write(mask, [stack.mask], ["mask"], voxel)
    labels = [Label(path, 0, path, 1 + k, id_, mask) for k, id_ in enumerate(deep)]
    for id_, one in stack.truths.items():
        if id_ not in deep:
            flat = path.with_name(f"{stem}_{id_}.ome.tif")
            _write(flat, [one], [id_], voxel)
            labels.append(Label(path, 0, flat, 0, id_, mask))
    return [replace(one, split=stack.split) for one in labels]


def _write(
    path: Path,
    volumes: Sequence[Volume],
    names: Sequence[str],
    voxel: tuple[float, float, float] | None,
) -> None:
    planes = range(volumes[0].shape[0])
    array = np.stack([one.planes(planes) for one in volumes])
    make_folder(path.parent)
    with atomic_write(path, "stack") as part:
        write_ome_tiff(part, array, OmeMetadata("CZYX", names, voxel, name=path.name))


def _extent(volume: Volume) -> str:
    return "×".join(map(str, volume.shape))
