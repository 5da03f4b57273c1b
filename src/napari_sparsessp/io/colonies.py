"""Simulated colonies as images, with a list of them that training can read."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparsessp.files import atomic_write
from napari_sparsessp.io.writing import write_prediction
from napari_sparsessp.simulation.contrasts import Contrast
from napari_sparsessp.structures import CATALOGUE, Structure
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    import torch

    from napari_sparsessp.simulation.colony import Colony

LIST_NAME = "colonies.csv"
READ_NOISE = 5.0  # photons
BLEACHED = (0.05, 0.4)
"""Share of a label that may be gone at the end of a stack."""

BACKGROUND = (0.02, 0.1)
"""Of fluorescence, over its bright end."""


def colony_file(folder: Path, seed: int) -> Path:
    """Where a colony's image lies in a folder."""
    return folder / f"colony_{seed:06d}.ome.tif"


def write_colony(
    path: Path,
    colony: "Colony",
    seed: int,
    photons: float,
    overwrite: bool = False,
    contrast: Contrast = Contrast.BRIGHT_FIELD,
    fluorescence_photons: float = 0,
) -> Path:
    """Write transmitted light and fluorescence of a colony into one OME-TIFF.

    Parameters
    ----------
    path : Path
    colony : Colony
        Its first look is written, and each structure.
    seed : int
        Of the camera's noise; goes into the file with the rest of the provenance.
    photons : float
        At the bright end of the transmitted light; 0 for no noise.
    overwrite : bool
    contrast : Contrast
        Of the transmitted light; it names the channel.
    fluorescence_photons : float
        At the bright end of each structure, before it bleaches. 0 writes the
        noise-free expectation, which is what a network should learn.

    Returns
    -------
    Path

    Raises
    ------
    OutputError
        The file cannot be written, or exists and may not be replaced.
    """
    import torch

    from napari_sparsessp.simulation.colony import VOXEL
    from napari_sparsessp.simulation.fluorescence import photon_noise

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
    labels: "torch.Tensor", seed: int, photons: float
) -> tuple["torch.Tensor", list[float]]:
    """The camera's counts of each structure, and how much of each was bleached."""
    import torch

    from napari_sparsessp.simulation.fluorescence import camera_stack

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
    """Write ``colonies.csv``: a line for each structure of each colony in the folder.

    Raises
    ------
    OutputError
        It cannot be written.
    """
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
