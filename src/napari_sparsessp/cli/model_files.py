"""``sparsessp models export`` and ``verify``: copies, and whether they are whole."""

from pathlib import Path
from typing import Annotated

import typer

from napari_sparsessp.cli.options import Debug, Quiet, Version, console_of
from napari_sparsessp.errors import ModelError
from napari_sparsessp.models.library import installed_models


def export(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Id or path of a model.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="A .safetensors file, or a folder for it."),
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is there.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """Copy a model with its card, bit by bit."""
    from napari_sparsessp.models.manage import export_model

    console = console_of(context)
    console.progress(f"copying {model}")
    console.result(str(export_model(model, out, overwrite=overwrite)))


def verify(
    context: typer.Context,
    model: Annotated[
        str | None, typer.Argument(help="Id or path of a model; all if left out.")
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """Compare models with what their cards say: weights and a test input."""
    from napari_sparsessp.models.verification import verify_model

    console = console_of(context)
    failed = []
    for name, path in _models(model):
        console.progress(f"verifying {name}")
        verdict = verify_model(path)
        console.result(f"{'ok' if verdict.ok else 'failed':<8}{name}  {verdict.text}")
        if not verdict.ok:
            failed.append(name)
    if failed:
        raise ModelError(
            f"{', '.join(failed)} cannot be trusted; see the reason above and get the "
            "model again"
        )


def _models(model: str | None) -> list[tuple[str, str]]:
    """Name and path of what is to be verified; damaged ones too."""
    if model is not None:
        return [(model, model)]
    return [
        (path.stem if isinstance(card, ModelError) else card.id, str(path))
        for path, card in installed_models()
    ]
