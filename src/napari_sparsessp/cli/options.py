"""The options that every command has, and those that several share."""

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
