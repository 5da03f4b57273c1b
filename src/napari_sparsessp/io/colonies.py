"""Simulated colonies as images, with a list of them that training can read."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparsessp.io.writing import write_prediction
from napari_sparsessp.structures import CATALOGUE, Structure
from napari_sparsessp.volume import Volume
from napari_sparsessp.whole_file import whole_file

if TYPE_CHECKING:
    from napari_sparsessp.simulation.colony import Colony

LIST_NAME = "colonies.csv"
LIGHT = Structure("bright_field", "Bright-field", "", "", "", "#ffffff")
CONTRAST = 0.08
"""Standard deviation of the light over its mean."""

READ_NOISE = 5.0  # photons


def colony_file(folder: Path, seed: int) -> Path:
    """Where a colony's image lies in a folder."""
    return folder / f"colony_{seed:06d}.ome.tif"


def write_colony(
    path: Path, colony: "Colony", seed: int, photons: float, overwrite: bool = False
) -> Path:
    """Write bright-field and fluorescence of a colony into one OME-TIFF.

    Parameters
    ----------
    path : Path
    colony : Colony
        Its first look is written, and the noise-free expectation of each structure.
    seed : int
        Of the camera's noise; goes into the file with the rest of the provenance.
    photons : float
        At the bright end of the bright-field; 0 for no noise.
    overwrite : bool

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
    from napari_sparsessp.simulation.optics import photon_noise

    light = (1 + CONTRAST * colony.brightfield[0]).clamp_min(0).cpu()
    if photons:
        generator = torch.Generator().manual_seed(seed)
        light = photon_noise(light, photons, READ_NOISE, generator)
    order = [colony.structures.index(one) for one in CATALOGUE]
    channels = torch.cat([light[None], colony.fluorescence[order].cpu()]).numpy()
    names = (LIGHT.label, *CATALOGUE)
    volume = Volume(channels, "CZYX", (VOXEL,) * 3, channel_names=names)
    provenance: dict[str, Any] = {"simulated": True, "seed": seed, "photons": photons}
    return write_prediction(path, volume, [LIGHT, *CATALOGUE], provenance, overwrite)


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
        whole_file(path) as part,
        part.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file)
        table.writerow(["path", "signal", "target", "structure"])
        for image in images:
            for channel, structure in enumerate(CATALOGUE, 1):
                table.writerow([image.name, 0, channel, structure])
    return path
