"""What models are scored on: held-out simulated colonies, and real pairs."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.volume import Volume

SIMULATED, REAL = "simulated", "real"
"""Groups of fields; means are taken within each."""

FIRST_SEED = 1_000_000
"""Of the held-out colonies; trainings use seeds far below."""

SHAPE = (56, 160, 160)
"""(D, H, W) voxels of a colony."""

PHOTONS = 20_000.0
"""At the bright end of the bright-field."""

# As `sparsessp simulate` writes colonies: deviation of the light over its mean, and
# the camera's read noise in photons.
_CONTRAST = 0.08
_READ_NOISE = 5.0


@dataclass(frozen=True, eq=False)
class Field:
    """One dense stack and the truth of some structures.

    Attributes
    ----------
    name, group : str
    light : Volume
        Transmitted light, ZYX.
    truth : dict
        Structure id to its ground truth, ZYX.
    noise_free : bool
        The truth is an expectation, so that the ceiling is 1.
    """

    name: str
    group: str
    light: Volume
    truth: dict[str, Volume]
    noise_free: bool = False

    def digest(self) -> str:
        """Give 16 characters that tell the voxels of one field from another's."""
        every = hashlib.sha256()
        for one in (self.light, *(self.truth[name] for name in sorted(self.truth))):
            voxels = one.planes(range(one.shape[0]))
            every.update(np.ascontiguousarray(voxels).tobytes())
        return every.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class FieldSource:
    """A field that is opened, or simulated, when its turn comes.

    Attributes
    ----------
    name, group : str
        Of the field.
    open : callable
    """

    name: str
    group: str
    open: Callable[[], Field]


def colony_sources(
    colonies: int,
    first_seed: int = FIRST_SEED,
    shape: tuple[int, int, int] = SHAPE,
    photons: float = PHOTONS,
) -> list[FieldSource]:
    """List held-out colonies, none of them simulated yet.

    Parameters
    ----------
    colonies : int
    first_seed : int
        Each has the next.
    shape : tuple of int
        (D, H, W) voxels of 0.29 µm.
    photons : float
        Of the bright-field; 0 for no noise. The truth is always free of noise.
    """

    def source(seed: int) -> FieldSource:
        def opened() -> Field:
            return simulated_field(seed, shape, photons)

        return FieldSource(_colony_name(seed), SIMULATED, opened)

    return [source(seed) for seed in range(first_seed, first_seed + colonies)]


def simulated_field(
    seed: int, shape: tuple[int, int, int] = SHAPE, photons: float = PHOTONS
) -> Field:
    """Simulate one colony as a microscope would record it, with the truth behind it.

    Parameters
    ----------
    seed : int
        Also of the camera's noise.
    shape : tuple of int
    photons : float
    """
    import torch

    from napari_sparsessp.simulation.colony import VOXEL, simulate_colony
    from napari_sparsessp.simulation.optics import photon_noise

    colony = simulate_colony(seed, shape)
    light = (1 + _CONTRAST * colony.brightfield[0]).clamp_min(0)
    if photons:
        noise = torch.Generator().manual_seed(seed)
        light = photon_noise(light, photons, _READ_NOISE, noise)
    cube = (VOXEL, VOXEL, VOXEL)
    truth = {
        name: Volume(image.numpy(), "ZYX", cube)
        for name, image in zip(colony.structures, colony.fluorescence, strict=True)
    }
    name = _colony_name(seed)
    volume = Volume(light.numpy(), "ZYX", cube, name=name)
    return Field(name, SIMULATED, volume, truth, noise_free=True)


def _colony_name(seed: int) -> str:
    return f"colony {seed}"


@dataclass(frozen=True)
class PairName:
    """A real pair as the command line names it.

    Attributes
    ----------
    path : str
    signal, target : str or int
        Channels of the transmitted light and of the fluorescence.
    structure : str
    """

    path: str
    signal: str | int
    target: str | int
    structure: str


def parse_pair(text: str) -> PairName:
    """Read ``FILE:SIGNAL:TARGET:STRUCTURE``; a drive's colon in FILE does no harm.

    Raises
    ------
    InputError
        A part is missing.
    """
    parts = text.rsplit(":", 3)
    if len(parts) != 4 or not all(parts):
        raise InputError(
            f"--pair {text!r} cannot be used; write FILE:SIGNAL:TARGET:STRUCTURE, for "
            "example cells.ome.tif:Bright-field:DNA:dna"
        )
    path, signal, target, structure = parts
    return PairName(path, _channel(signal), _channel(target), structure)


def _channel(text: str) -> str | int:
    return int(text) if text.isdecimal() else text
