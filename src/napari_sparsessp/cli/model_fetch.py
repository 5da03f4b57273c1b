"""``sparsessp models fetch``: a model from an address or a DOI becomes one of yours."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_sparsessp.cli import model_import
from napari_sparsessp.cli.console import Console, clock
from napari_sparsessp.cli.options import Debug, Quiet, Version, console_of
from napari_sparsessp.errors import InputError
from napari_sparsessp.tasks import Cancelled, cancel_on_interrupt, cancellable

if TYPE_CHECKING:
    from napari_sparsessp.models.manage import Fetched


def fetch(
    context: typer.Context,
    origin: Annotated[
        str,
        typer.Argument(
            help="https address of a model's file, or DOI[:file] of an archive.",
            metavar="URL|DOI[:FILE]",
        ),
    ],
    sha256: Annotated[
        str | None,
        typer.Option("--sha256", help="Checksum that the file must have."),
    ] = None,
    id_: model_import.Id = None,
    name: model_import.Name = None,
    structures: model_import.Structures = None,
    ratio: model_import.Ratio = None,
    voxel_size: model_import.VoxelSize = None,
    scaling: model_import.Scaling = None,
    modality: model_import.Modality = None,
    licence: model_import.Licence = None,
    citation: model_import.Citation = None,
    overwrite: model_import.Overwrite = False,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """Download a model and add it to yours; a checkpoint is imported.

    What was stopped goes on where it was. The options from --structures on are for
    checkpoints, as for sparsessp models import.
    """
    console = console_of(context)
    given = model_import.given_answers(structures, ratio, voxel_size, scaling)
    given |= {"modality": modality, "licence": licence, "citation": citation}
    fetched = _downloaded(console, origin, sha256)
    _fact(console, "sha256", fetched.sha256)
    if not fetched.checked:
        console.note(
            "no checksum was given; compare this one with that of the model's page"
        )
    if fetched.is_native:
        _refuse_answers(given)
        _add(console, fetched, id_, name, overwrite)
    else:
        answers = {"id": id_, "name": name, **given}
        _import(console, fetched, answers, overwrite)
    fetched.forget()


def _downloaded(console: Console, origin: str, sha256: str | None) -> "Fetched":
    from napari_sparsessp.models.manage import fetch_model

    began, first, told = time.monotonic(), -1.0, ""

    def tell(done: float, total: float | None = None, what: str = "") -> None:
        nonlocal first, told
        first = done if first < 0 else first  # what came earlier took no time now
        if what:
            console.progress(what)
            return
        spent = time.monotonic() - began
        text = f"downloading {done / 1e6:.1f}"
        if total:
            left = spent / max(done - first, 1) * (total - done)
            text += f" of {total / 1e6:.1f} MB"
            text += f", {clock(left)} left" if done > first else ""
        else:
            text += " MB"
        if text != told:
            console.progress(text)
        told = text

    with cancel_on_interrupt() as cancel:
        try:
            return fetch_model(
                origin, sha256=sha256, progress=cancellable(tell, cancel)
            )
        except Cancelled:
            raise Cancelled(
                "stopped; the same command goes on with the download"
            ) from None


def _refuse_answers(given: dict[str, Any]) -> None:
    """A card says all that; what is given besides would be lost without a word."""
    names = [name for name, value in given.items() if value is not None]
    if names:
        option = {"ratios": "ratio"}.get(names[0], names[0]).replace("_", "-")
        raise InputError(
            f"--{option} is for checkpoints, and this model has a card that says it; "
            "leave it out"
        )


def _add(
    console: Console,
    fetched: "Fetched",
    id_: str | None,
    name: str | None,
    overwrite: bool,
) -> None:
    from napari_sparsessp.models.library import card_of
    from napari_sparsessp.models.manage import add_model, rename_model

    path = add_model(fetched.path, id=id_, source=fetched.source, overwrite=overwrite)
    card = card_of(path) if name is None else rename_model(path, name)
    _fact(console, "id", card.id)
    _fact(console, "name", card.name)
    _fact(console, "structures", ", ".join(card.structures))
    _fact(console, "licence", card.licence)
    _fact(console, "model", str(path))


def _import(
    console: Console, fetched: "Fetched", given: dict[str, Any], overwrite: bool
) -> None:
    try:
        found, answers = model_import.agree(console, fetched.path, given)
    except InputError:
        console.note("the file is here; the same command does not download it again")
        raise
    model_import.write(console, found, answers, None, overwrite, fetched.source)


def _fact(console: Console, name: str, value: str) -> None:
    console.result(f"{name:<14}{value}")
