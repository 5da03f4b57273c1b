"""``sparsessp simulate``: colonies with bright-field and the truth behind it."""

import time
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from napari_sparsessp.cli.console import clock
from napari_sparsessp.cli.options import Debug, Quiet, Version, console_of, numbers
from napari_sparsessp.cli.report_file import make_folder
from napari_sparsessp.errors import InputError
from napari_sparsessp.simulation import Contrast

SMALLEST = (8, 32, 32)
LARGEST = 2**28  # voxels of one colony; each takes about a hundred bytes while it grows


def simulate(
    context: typer.Context,
    out: Annotated[Path, Option("--out", "-o", help="Folder for the colonies.")],
    volumes: Annotated[int, Option(min=1, help="How many colonies.")] = 1,
    seed: Annotated[int, Option(min=0, help="Of the first; each has the next.")] = 0,
    shape: Annotated[
        str, Option(metavar="Z,Y,X", help="Voxels of 0.29 µm.")
    ] = "56,160,160",
    contrast: Annotated[
        Contrast, Option(help="What the transmitted light shows.")
    ] = Contrast.BRIGHT_FIELD,
    photons: Annotated[
        float, Option(min=0, help="At the bright end of the light; 0: no noise.")
    ] = 20_000,
    fluorescence_photons: Annotated[
        float,
        Option(min=0, help="Bleaching, background and noise; 0: the expected image."),
    ] = 0,
    device: Annotated[str, Option(help="auto, cpu, cuda, cuda:N or mps.")] = "cpu",
    overwrite: Annotated[
        bool, Option("--overwrite", help="Replace colonies that are there.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """Simulate hiPSC colonies: transmitted light, and twelve structures as truth.

    Each becomes one OME-TIFF, listed in colonies.csv, which sparsessp train reads. The
    same seed, shape and kind of device give the same colony. Colonies that are there
    already are kept.
    """
    console = console_of(context)
    size = _checked(shape)
    make_folder(out)

    from napari_sparsessp.prediction.device import choose_device
    from napari_sparsessp.simulation.colony import (
        colony_file,
        simulate_colony,
        write_colony,
        write_list,
    )

    place = str(choose_device(device))
    began, made = time.monotonic(), 0
    for number, one in enumerate(range(seed, seed + volumes)):
        path = colony_file(out, one)
        if path.exists() and not overwrite:
            console.note(f"{path} is there already and kept")
        else:
            left = (time.monotonic() - began) / made * (volumes - number) if made else 0
            told = f", {clock(left)} left" if made else ""
            console.progress(f"colony {number + 1} of {volumes}{told}")
            colony = simulate_colony(one, size, device=place, contrast=contrast)
            write_colony(
                path, colony, one, photons, overwrite, contrast, fluorescence_photons
            )
            made += 1
    console.result(str(write_list(out)))


def _checked(shape: str) -> tuple[int, int, int]:
    size = numbers(shape, "--shape", int)
    assert size is not None
    z, y, x = size
    if min(a - b for a, b in zip(size, SMALLEST, strict=True)) < 0:
        raise InputError(
            f"--shape {shape} is smaller than a cell; give at least 8,32,32"
        )
    if z * y * x > LARGEST:
        raise InputError(
            f"--shape {shape} needs more memory than there is; simulate several "
            "smaller colonies"
        )
    return z, y, x
