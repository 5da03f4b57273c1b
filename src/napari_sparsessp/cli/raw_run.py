"""``sparsessp models run``: planes through a network as they are."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from napari_sparsessp.cli.console import check_output
from napari_sparsessp.cli.options import console_of
from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.files import atomic_write

if TYPE_CHECKING:
    import numpy as np


def run_model(
    context: typer.Context,
    model: Annotated[
        str, Argument(help="Id or path of a model, or a published checkpoint.")
    ],
    input_: Annotated[
        Path,
        Option(
            "--input",
            help="NumPy file: planes (n, H, W), n = D/r or D; or (channels, n, H, W).",
        ),
    ],
    out: Annotated[
        Path, Option("--out", "-o", help="NumPy file for (T, D, H, W) float32.")
    ],
    structures: Annotated[
        str | None, Option(help="Structures, or numbers of outputs: a,b or 0,1; all.")
    ] = None,
    ratio: Annotated[
        float | None,
        Option(min=1, help="Sparsity ratio of the planes; D/n if left out."),
    ] = None,
    overwrite: Annotated[
        bool, Option("--overwrite", help="Replace the output.")
    ] = False,
) -> None:
    """Run planes through a network as they are: no scaling, resampling or tiling."""
    import numpy as np

    console = console_of(context)
    if out.is_dir():
        raise OutputError(
            f"{out} is a folder; give the name of a file, for example "
            f"{out / 'prediction.npy'}"
        )
    check_output(out, overwrite, "")
    planes = _read_array(input_)
    console.progress(f"loading {model}")

    from napari_sparsessp.models.raw_forward import raw_forward

    wanted = None if structures in (None, "all") else structures.split(",")
    prediction = raw_forward(model, planes, wanted, ratio)
    with atomic_write(out) as part, part.open("wb") as file:
        np.save(file, prediction, allow_pickle=False)
    extents = "×".join(map(str, prediction.shape))
    console.result(f"{out}  {extents} float32")


def _read_array(path: Path) -> "np.ndarray":
    """Read a NumPy array; never a pickle."""
    import numpy as np

    if path.is_fifo() or path.is_char_device():  # opening it could wait for ever
        raise InputError(f"{path} is a pipe or a device; save the array as a file")
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror or 'it is cut off'}; check the file"
        ) from error
    except Exception as error:
        # numpy meets a damaged header with whatever its parser stumbles over.
        raise InputError(
            f"{path} is not a NumPy array of numbers; save it with numpy.save"
        ) from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path} holds several arrays; save one with numpy.save")
    return array
