"""The options that every command has, and those that several share."""

import math
from pathlib import Path
from typing import Annotated

import typer

from napari_sparsessp import __version__
from napari_sparsessp.cli.console import Console


def console_of(context: typer.Context) -> Console:
    """Give the console of this run."""
    return context.ensure_object(Console)


def _be_quiet(context: typer.Context, value: bool) -> bool:
    console_of(context).quiet |= value
    return value


def _debug(context: typer.Context, value: bool) -> bool:
    console_of(context).debug |= value
    return value


def _show_version(value: bool) -> None:
    if value:
        print(f"sparsessp {__version__}")
        raise typer.Exit


Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", callback=_be_quiet, is_eager=True, help="Show no progress."
    ),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug", callback=_debug, is_eager=True, help="Show tracebacks of errors."
    ),
]
Version = Annotated[
    bool,
    typer.Option(
        "--version",
        callback=_show_version,
        is_eager=True,
        help="Show the version and exit.",
    ),
]

# What predict and sweep have in common.
Channel = Annotated[
    str | None,
    typer.Option(help="Name or index of the transmitted-light channel."),
]
Scene = Annotated[str | None, typer.Option(help="Name or index of the scene.")]
ModelName = Annotated[str, typer.Option(help="Id or path of a model.")]
Topology = Annotated[
    str | None,
    typer.Option(help="Take the model of this topology: 3d, 2d, 2to3d, 3to2d."),
]
VoxelSize = Annotated[
    str | None,
    typer.Option(help="Z,Y,X in µm, instead of what the file says.", metavar="Z,Y,X"),
]
Truth = Annotated[
    list[str] | None,
    typer.Option(
        help="Ground truth to score against.", metavar="STRUCTURE=FILE[:CHANNEL]"
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Precision = Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")]
TileSize = Annotated[
    str | None, typer.Option(help="Largest tile in voxels.", metavar="Z,Y,X")
]
Overlap = Annotated[
    float | None, typer.Option(help="Share of a z window that the next one repeats.")
]
Turns = Annotated[
    bool,
    typer.Option(
        "--tta",
        help="Average over flips and quarter turns; eight times slower.",
    ),
]
Uncertainty = Annotated[
    bool,
    typer.Option(
        "--uncertainty",
        help="Add the expected error of each structure as a channel; eight times "
        "slower, and no slower with --tta.",
    ),
]
MemoryLimit = Annotated[
    str | None,
    typer.Option(
        help="Most memory that the program may take, 512MB or 4GB; a part of what is "
        "free where left out.",
        metavar="SIZE",
    ),
]
Normalisation = Annotated[
    str | None,
    typer.Option(
        help="Mean and deviation of the input, in its own units, instead of those "
        "that are found.",
        metavar="MEAN,STD",
    ),
]
MaskInvalid = Annotated[
    bool, typer.Option("--mask-invalid", help="Predict around NaN and infinite values.")
]

# What the benchmarks have in common.
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", help="Write the result as JSON, as it comes."),
]
OverwriteJson = Annotated[
    bool, typer.Option("--overwrite", help="Replace an existing JSON file.")
]


def numbers(text: str | None, option: str, kind: type) -> tuple | None:
    """Read ``Z,Y,X``.

    Raises
    ------
    typer.BadParameter
        These are not three positive numbers.
    """
    if text is None:
        return None
    try:
        values = tuple(kind(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 3 or not all(0 < value < float("inf") for value in values):
        raise typer.BadParameter(
            f"{option} {text!r} is not three positive numbers; write Z,Y,X, for "
            f"example {'0.29,0.29,0.29' if kind is float else '32,256,256'}"
        )
    return values


def mean_and_std(text: str | None) -> tuple[float, float] | None:
    """Read ``MEAN,STD``.

    Raises
    ------
    typer.BadParameter
        These are not two numbers, the second above 0.
    """
    if text is None:
        return None
    try:
        mean, std = (float(part) for part in text.split(","))
    except ValueError:
        mean, std = math.nan, math.nan
    if not (math.isfinite(mean) and 0 < std < math.inf):
        raise typer.BadParameter(
            f"--normalisation {text!r} is not a mean and a deviation above 0; write "
            "MEAN,STD, for example 20000,1500"
        )
    return mean, std
