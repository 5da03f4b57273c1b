"""One simulated colony: bright-field in, twelve structures as truth."""

import math
from dataclasses import dataclass

import torch

from napari_sparsessp.simulation.cells import grow_cells
from napari_sparsessp.simulation.contrasts import Contrast
from napari_sparsessp.simulation.fields import Grid, RandomFields, blur, inside
from napari_sparsessp.simulation.fluorescence import fluorescence
from napari_sparsessp.simulation.motion import drifting_speckle, jostled
from napari_sparsessp.simulation.oblique import oblique_brightfield
from napari_sparsessp.simulation.organelles import grow_structures, refractive_index
from napari_sparsessp.simulation.parameters import ColonyParameters, draw_parameters
from napari_sparsessp.simulation.transmitted import reshape_spectrum, transmitted

VOXEL = 0.29  # µm, the isotropic grid of the paper
MARGIN = 16  # voxels cut off in y and x: there the periodic optics wrap around


@dataclass(frozen=True, eq=False)
class Colony:
    """A simulated specimen and its noise-free images on the 0.29 µm grid.

    Attributes
    ----------
    brightfield : Tensor
        (V, D, H, W) float32: V looks of one colony, background 0, each of unit
        standard deviation; they differ in power spectrum and illumination. Phase
        contrast or DIC where that was asked for.
    fluorescence : Tensor
        (S, D, H, W) float32 ≥ 0, expected image, in the order of `structures`.
    structures : tuple of str
    parameters : ColonyParameters
    """

    brightfield: torch.Tensor
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
    """Simulate one colony.

    Parameters
    ----------
    seed : int
        Same seed, shape and kind of device: same colony.
    shape : tuple of int
        (D, H, W) voxels of 0.29 µm.
    looks : int
        Bright-field stacks to make of it; the first keeps the weak-object
        spectrum in one colony out of eight.
    device : str
        Where torch computes.
    contrast : str
        A `Contrast`. Phase contrast and DIC keep the spectrum of the weak object:
        there is no real colony here to bend it towards.

    Returns
    -------
    Colony
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
