"""``sparsessp models gallery``, and the fetching of what it lists."""

import json as json_module
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from typer import Option

from napari_sparsessp.cli.console import Console
from napari_sparsessp.cli.options import console_of
from napari_sparsessp.download import megabytes
from napari_sparsessp.errors import InputError
from napari_sparsessp.models import gallery
from napari_sparsessp.models.card import made_for
from napari_sparsessp.models.gallery import (
    UNSEEN,
    Entry,
    accept,
    download_size,
    files_of,
    installed_ids,
    is_accepted,
    matches,
    state_of,
)
from napari_sparsessp.structures import find_structure
from napari_sparsessp.tasks import Cancelled, cancel_on_interrupt, cancellable

_STATES = {"new": "", "partly": "partly here", "yours": "yours"}


def list_gallery(
    context: typer.Context,
    structure: Annotated[
        str | None, Option(help="Only models that predict this structure.")
    ] = None,
    modality: Annotated[
        str | None, Option(help="Only models of this kind of light: bright-field, …")
    ] = None,
    json: Annotated[
        bool, Option("--json", help="Print all that is known of each, as JSON.")
    ] = False,
) -> None:
    """List published models that fetch can get; nothing is fetched here."""
    console = console_of(context)
    wanted = "" if structure is None else find_structure(structure).id
    offered = gallery.read_gallery()
    entries = [one for one in offered if matches(one, wanted, modality or "")]
    installed = installed_ids()
    if json:
        found = [as_json(entry, state_of(entry, installed)) for entry in entries]
        console.result(json_module.dumps(found, indent=2, ensure_ascii=False))
        return
    if not entries:
        known = ", ".join(dict.fromkeys(one.modality for one in offered))
        console.note(f"no such model; kinds of light: {known}")
        return
    heading = ["id", "predicts", "from", "cells", "licence", "size", "state"]
    rows = [heading, *(_row(one, state_of(one, installed)) for one in entries)]
    console.table(rows, left=5)
    console.note("sparsessp models fetch ID gets one, after you accept its licence")


def _row(entry: Entry, state: str) -> list[str]:
    shown = ", ".join(entry.predicts)
    if len(entry.predicts) > 2:
        shown = f"{len(entry.predicts)} structures"
    size = download_size(entry)
    known = "by hand" if entry.how else "not stated" if size is None else ""
    return [
        *(entry.id, shown, entry.modality, entry.cells.partition(" (")[0]),
        *(entry.licence.partition(" (")[0], known or megabytes(size or 0)),
        _STATES[state],
    ]


def as_json(entry: Entry, state: str) -> dict[str, Any]:
    """Return all fields of an entry, of a bundle with the files of its members."""
    fields = entry.model_dump(mode="json")
    fields["files"] = [file.model_dump(mode="json") for file in files_of(entry)]
    return fields | {"state": state}


def fetch_entry(
    console: Console,
    entry: Entry,
    given: Mapping[str, Any],
    *,
    accept_licence: bool,
    overwrite: bool,
) -> None:
    """Fetch an entry of the gallery and import it; the licence is asked for."""
    from napari_sparsessp.models.fetching import install
    from napari_sparsessp.models.library import card_of

    if accept_licence or (not is_accepted(entry) and _asked(console, entry)):
        accept(entry)
    progress = console.progress("fetching")
    with cancel_on_interrupt() as cancel:
        try:
            done = install(
                entry,
                given,
                overwrite=overwrite,
                progress=cancellable(progress, cancel),
            )
        except Cancelled:
            raise Cancelled("stopped; the same command goes on from there") from None
    card = card_of(done.path)
    console.fact("id", card.id)
    console.fact("name", card.name)
    console.fact("structures", ", ".join(card.structures))
    console.fact("made for", made_for(card))
    console.fact("licence", card.licence)
    if entry.checked is None and done.files:
        console.note(f"{UNSEEN}; what came has the SHA-256")
    for address, digits in done.files.items():
        console.fact("sha256", f"{digits}  {address}")
    console.fact("model", done.path)


def _asked(console: Console, entry: Entry) -> bool:
    """Ask on a terminal whether the licence is accepted; elsewhere `install` refuses.

    InputError: it was declined.
    """
    if not entry.can_be_fetched or not is_terminal():
        return False
    size = download_size(entry)
    console.note(f"{entry.name}: {entry.trained_on}")
    console.note(f"licence: {entry.card_licence}")
    console.note(f"cite: {entry.cite.text} {entry.link}")
    if size is not None:
        console.note(f"download: {megabytes(size)}")
    if entry.checked is None:
        console.note(f"{UNSEEN}")
    sys.stderr.write("accept this licence and fetch it? [y/N]: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    raise InputError(
        f"the licence of {entry.id} was not accepted, so nothing was fetched; choose "
        "another model with sparsessp models gallery"
    )


def is_terminal() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()
