"""``sparsessp models run``: planes through a network, without anything around it."""

from pathlib import Path
from typing import Annotated

import typer

from napari_sparsessp.cli.array_file import (
    check_array_path,
    read_array,
    write_array,
)
from napari_sparsessp.cli.options import Debug, Quiet, Version, console_of


def run_model(
    context: typer.Context,
    model: Annotated[
        str, typer.Argument(help="Id or path of a model, or a published checkpoint.")
    ],
    input_: Annotated[
        Path,
        typer.Option(
            "--input",
            help="NumPy file: planes (n, H, W), n = D/r or D; or (channels, n, H, W).",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="NumPy file for (T, D, H, W) float32.")
    ],
    structures: Annotated[
        str | None,
        typer.Option(help="Structures, or numbers of outputs: a,b or 0,1; all."),
    ] = None,
    ratio: Annotated[
        float | None,
        typer.Option(min=1, help="Sparsity ratio of the planes; D/n if left out."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """Run planes through a network as they are: no scaling, resampling or tiling."""
    console = console_of(context)
    check_array_path(out, overwrite)
    planes = read_array(input_)
    console.progress(f"loading {model}")

    from napari_sparsessp.models.raw_forward import raw_forward

    wanted = None if structures in (None, "all") else structures.split(",")
    prediction = raw_forward(model, planes, wanted, ratio)
    write_array(out, prediction)
    extents = "×".join(map(str, prediction.shape))
    console.result(f"{out}  {extents} float32")
