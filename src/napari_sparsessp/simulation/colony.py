"""One simulated colony: bright-field in, twelve structures as truth; and its image."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from napari_sparsessp.files import atomic_write
from napari_sparsessp.io.writing import write_prediction
from napari_sparsessp.simulation import Contrast
from napari_sparsessp.simulation.cells import drifting_speckle, grow_cells, jostled
from napari_sparsessp.simulation.optics import (
    camera_stack,
    fluorescence,
    oblique_brightfield,
    photon_noise,
    reshape_spectrum,
    transmitted,
)
from napari_sparsessp.simulation.organelles import grow_structures, refractive_index
from napari_sparsessp.simulation.parameters import (
    ColonyParameters,
    Grid,
    RandomFields,
    blur,
    draw_parameters,
    inside,
)
from napari_sparsessp.structures import CATALOGUE, Structure
from napari_sparsessp.volume import Volume

VOXEL = 0.29  # µm, the isotropic grid of the paper
MARGIN = 16  # voxels cut off in y and x: there the periodic optics wrap around

LIST_NAME = "colonies.csv"
READ_NOISE = 5.0  # photons
BLEACHED = (0.05, 0.4)
"""Share of a label that may be gone at the end of a stack."""

BACKGROUND = (0.02, 0.1)
"""Of fluorescence, over its bright end."""


@dataclass(frozen=True, eq=False)
class Colony:
    """A simulated specimen and its noise-free images on the 0.29 µm grid."""

    # (V, D, H, W) float32: V looks of one colony, background 0, each of unit standard
    # deviation; they differ in power spectrum and illumination. Phase contrast or DIC
    # where that was asked for.
    brightfield: torch.Tensor
    # (S, D, H, W) float32 ≥ 0, expected image, in the order of `structures`.
    fluorescence: torch.Tensor
    structures: tuple[str, ...]
    parameters: ColonyParameters


def _look(
    stack: torch.Tensor, busy: torch.Tensor, fields: RandomFields, plain: bool
) -> torch.Tensor:
    """One randomised look at a bright-field stack: spectrum, motion, tilted light."""
    if plain:
        shaped = stack - stack.mean()
    else:
        # The ranges bracket the spectrum of real bright-field of hiPSC colonies
        # (knee 0.25 cycles/µm, slope 2.2, plateau −0.3), widely.
        shaped = reshape_spectrum(
            stack,
            VOXEL,
            knee=fields.uniform(0.15, 0.4),
            slope=fields.uniform(1.5, 3.0),
            plateau=fields.uniform(-0.8, 0.5),
            share=fields.uniform(0.75, 1.0),
            per_plane=fields.uniform(0, 1) < 0.5,
        )
        step, together = fields.uniform(-0.02, 0.18), fields.uniform(0.8, 2.0)
        if step > 0:
            # Fewer neighbours moving apart would fold the image.
            together = max(together, 12 * step)
            shaped = jostled(shaped, VOXEL, step, together, fields.generator)
        moving = fields.uniform(-0.2, 0.35)
        if moving > 0:
            speckle = drifting_speckle(
                shaped, VOXEL, fields.uniform(0.2, 0.9), fields.generator
            )
            # It lies where the cytoplasm is, more or less.
            speckle = speckle * (1 + fields.uniform(0.0, 1.0) * (busy - busy.mean()))
            share = moving * (shaped.std() / speckle.std()) ** 2
            shaped = math.sqrt(1 - moving) * shaped + torch.sqrt(share) * speckle
    light = fields.uniform(0.0, 0.2) * fields.plane(25.0) * shaped.std()
    look = (shaped + light)[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    return (look - look.mean()) / look.std()


def simulate_colony(
    seed: int,
    shape: Grid = (56, 160, 160),
    looks: int = 1,
    device: str = "cpu",
    contrast: str = Contrast.BRIGHT_FIELD,
) -> Colony:
    """Simulate one colony: same seed, shape (D, H, W) and kind of device, same colony.

    `looks` is the number of bright-field stacks of it; the first keeps the weak-object
    spectrum in one colony out of eight. Phase contrast and DIC always keep it: there
    is no real colony here to bend it towards.
    """
    generator = torch.Generator(device).manual_seed(seed)
    p = draw_parameters(seed)
    wide = (shape[0], shape[1] + 2 * MARGIN, shape[2] + 2 * MARGIN)
    fields = RandomFields(wide, VOXEL, generator)
    cells = grow_cells(p, wide, fields)
    densities = grow_structures(cells, fields)
    index, absorption = refractive_index(p, cells, densities, fields)
    crop = slice(MARGIN, -MARGIN)
    names = tuple(densities)
    images = torch.stack(
        [
            fluorescence(p, densities.pop(name)[None], VOXEL)[0, :, crop, crop]
            for name in names
        ]
    )
    bright = contrast == Contrast.BRIGHT_FIELD
    if bright:
        stack = oblique_brightfield(p, index, absorption, VOXEL)
    else:
        stack = transmitted(p, index, absorption, VOXEL, contrast)
    busy = blur(cells.body * inside(-cells.nucleus), 0.8, 0.8, VOXEL)
    views = [
        _look(stack, busy, fields, plain=not bright or (look == 0 and seed % 8 == 0))
        for look in range(looks)
    ]
    return Colony(torch.stack(views), images, names, p)


def colony_file(folder: Path, seed: int) -> Path:
    """Return the path of a colony's image in a folder."""
    return folder / f"colony_{seed:06d}.ome.tif"


def write_colony(
    path: Path,
    colony: Colony,
    seed: int,
    photons: float,
    overwrite: bool = False,
    contrast: Contrast = Contrast.BRIGHT_FIELD,
    fluorescence_photons: float = 0,
) -> Path:
    """Write a colony's first look and all structures into one OME-TIFF.

    `seed` is that of the camera's noise. `photons` come at the bright end of the light,
    `fluorescence_photons` at that of each structure before it bleaches; 0 writes the
    noise-free expectation, which is what a network should learn. Raises OutputError.
    """
    light = (1 + contrast.strength * colony.brightfield[0]).clamp_min(0).cpu()
    if photons:
        generator = torch.Generator().manual_seed(seed)
        light = photon_noise(light, photons, READ_NOISE, generator)
    labels = colony.fluorescence[[colony.structures.index(one) for one in CATALOGUE]]
    provenance: dict[str, Any] = {
        "simulated": True,
        "seed": seed,
        "contrast": contrast.value,
        "photons": photons,
        "fluorescence_photons": fluorescence_photons,
    }
    if fluorescence_photons:
        labels, provenance["bleached"] = _counted(labels, seed, fluorescence_photons)
    channels = torch.cat([light[None], labels.cpu()]).numpy()
    seen = Structure(
        contrast.value.replace("-", "_"), contrast.label, "", "", "", "#ffffff"
    )
    volume = Volume(
        channels, "CZYX", (VOXEL,) * 3, channel_names=(seen.label, *CATALOGUE)
    )
    return write_prediction(path, volume, [seen, *CATALOGUE], provenance, overwrite)


def _counted(
    labels: torch.Tensor, seed: int, photons: float
) -> tuple[torch.Tensor, list[float]]:
    """The camera's counts of each structure, and how much of each was bleached."""
    # Its own stream: the noise of the light does not depend on it, nor the reverse.
    generator = torch.Generator().manual_seed(2**32 + seed)
    counts, bleached = torch.empty_like(labels, device="cpu"), []
    for number, label in enumerate(labels.cpu()):
        draw = torch.rand(2, generator=generator).tolist()
        gone, background = (
            low + (high - low) * one
            for one, (low, high) in zip(draw, (BLEACHED, BACKGROUND), strict=True)
        )
        counts[number] = camera_stack(label, photons, gone, background, generator)
        bleached.append(round(gone, 4))
    return counts, bleached


def write_list(folder: Path) -> Path:
    """Write ``colonies.csv``: a line for each structure of each colony there."""
    path = folder / LIST_NAME
    images = sorted(folder.glob("colony_*.ome.tif"))
    with (
        atomic_write(path) as part,
        part.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file)
        table.writerow(["path", "signal", "target", "structure"])
        for image in images:
            for channel, structure in enumerate(CATALOGUE, 1):
                table.writerow([image.name, 0, channel, structure])
    return path
