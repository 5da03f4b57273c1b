"""``sparsessp models import``: a published checkpoint becomes a model of ours."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_sparsessp.cli.console import Console
from napari_sparsessp.cli.options import Debug, Quiet, Version, console_of, numbers
from napari_sparsessp.errors import InputError

if TYPE_CHECKING:
    from napari_sparsessp.models.importing import Answers, CheckpointInfo, Question

_WORDS = {
    "structures": "structures of its outputs, in order",
    "ratio": "sparsity ratio that it was trained for",
    "voxel_size": "voxel size Z,Y,X in µm",
    "scaling": "scaling of the input (zscore, robust, none)",
}
_FIELDS = {"ratio": "ratios"}
"""Where `Answers` calls a thing differently."""


Id = Annotated[
    str | None, typer.Option("--id", help="Id of the model; from the file's name.")
]
Name = Annotated[str | None, typer.Option(help="Name for people.")]
Structures = Annotated[
    str | None, typer.Option(help="Structures of the outputs, in their order: a,b,c.")
]
Ratio = Annotated[
    str | None, typer.Option(help="Sparsity ratios it was trained for: R[,R].")
]
VoxelSize = Annotated[
    str | None,
    typer.Option(help="Z,Y,X in µm of the grid it was trained on; 0.29 published."),
]
Scaling = Annotated[
    str | None, typer.Option(help="zscore (as published), robust or none.")
]
Modality = Annotated[
    str | None, typer.Option(help="Transmitted light; bright-field published.")
]
Licence = Annotated[str | None, typer.Option(help="Of the weights.")]
Citation = Annotated[str | None, typer.Option(help="Whom to cite.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a model of the same id.")
]


def import_model(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="RepMode .p, SparseSSP .pth or pytorch_fnet .p.")
    ],
    id_: Id = None,
    name: Name = None,
    structures: Structures = None,
    ratio: Ratio = None,
    voxel_size: VoxelSize = None,
    scaling: Scaling = None,
    modality: Modality = None,
    licence: Licence = None,
    citation: Citation = None,
    out: Annotated[
        Path | None,
        typer.Option(help="A .safetensors file or a folder; your models' if left out."),
    ] = None,
    overwrite: Overwrite = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what was found, write nothing.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """Import a published checkpoint; nothing in it is executed."""
    console = console_of(context)
    given = {
        "id": id_,
        "name": name,
        **given_answers(structures, ratio, voxel_size, scaling),
        "modality": modality,
        "licence": licence,
        "citation": citation,
    }
    found, answers = agree(console, file, given)
    if dry_run:
        console.note("nothing was written (--dry-run)")
        return
    write(console, found, answers, out, overwrite)


def given_answers(
    structures: str | None,
    ratio: str | None,
    voxel_size: str | None,
    scaling: str | None,
) -> dict[str, Any]:
    """Read the options that answer what a file leaves open.

    Returns
    -------
    dict
        Fields of `napari_sparsessp.models.importing.Answers`; None for left out.
    """
    return {
        "structures": None if structures is None else structures.split(","),
        "ratios": _ratios(ratio),
        "voxel_size": numbers(voxel_size, "--voxel-size", float),
        "scaling": scaling,
    }


def agree(
    console: Console, file: Path, given: dict[str, Any]
) -> "tuple[CheckpointInfo, Answers]":
    """Look into a file, ask what is open where someone can answer, and show all.

    Parameters
    ----------
    console : Console
    file : Path
    given : dict
        Fields of `Answers`; None for what was not given.

    Raises
    ------
    ModelError
        The file is no checkpoint.
    InputError
        A question is open that nobody can be asked.
    """
    from napari_sparsessp.models.importing import answers_for, inspect_checkpoint

    console.progress(f"opening {file}")
    found = inspect_checkpoint(file)
    _show_found(console, found)
    asked = _ask(found, given) if _is_terminal() else {}
    answers = answers_for(found, **{**given, **asked})
    said = {name for name, value in given.items() if value is not None} | set(asked)
    _show_answers(console, found, answers, said)
    return found, answers


def write(
    console: Console,
    found: "CheckpointInfo",
    answers: "Answers",
    out: Path | None,
    overwrite: bool,
    source: dict[str, Any] | None = None,
) -> None:
    """Write the model; `source` says where its checkpoint came from."""
    from napari_sparsessp.models.importing import import_checkpoint

    told = ""

    def tell(done: float, total: float | None = None, what: str = "") -> None:
        nonlocal told
        text = f"{what} {done / total:.0%}" if total else what
        if text != told:  # there are hundreds of tensors
            console.progress(text)
        told = text

    target = import_checkpoint(found.path, answers, out, overwrite, tell, source)
    _fact(console, "model", str(target))
    console.note("Check that you may use these weights: a card does not give the right")


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _ask(found: "CheckpointInfo", given: dict[str, Any]) -> dict[str, Any]:
    """Ask what neither the file nor the options say."""
    answers = {}
    for question in found.questions:
        field = _FIELDS.get(question.name, question.name)
        if given.get(field) is None:
            answers[field] = _asked(question)
    return answers


def _asked(question: "Question") -> Any:
    """Ask one thing until the answer can be read."""
    while True:
        text = _typed(question)
        try:
            if question.name == "structures":
                from napari_sparsessp.models.importing.answers import structure_ids

                return structure_ids(text.split(","))
            if question.name == "ratio":
                return _ratios(text)
            if question.name == "voxel_size":
                return numbers(text, "voxel size", float)
            if text not in ("zscore", "robust", "none"):
                raise InputError(
                    f"{text!r} is no scaling; write zscore, robust or none"
                )
            return text
        except (InputError, typer.BadParameter) as error:
            typer.echo(str(error), err=True)


def _typed(question: "Question") -> str:
    """Read a line; the question goes to stderr, results have stdout to themselves."""
    suggestion = _shown(question.suggestion)
    reason = f" ({question.reason})" if question.reason else ""
    default = f" [{suggestion}]" if suggestion else ""
    sys.stderr.write(f"{_WORDS[question.name]}{reason}{default}: ")
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise typer.Abort
    return line.strip() or suggestion


def _ratios(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"--ratio {text!r} is not a number; write R or R,R, for example 2,4,8"
        ) from None


def _show_found(console: Console, found: "CheckpointInfo") -> None:
    """Print what the file says of itself, one fact a line."""
    _fact(console, "format", found.format)
    for note in found.notes:
        _fact(console, "network", note)
    _fact(console, "parameters", f"{found.parameters:,}")


def _show_answers(
    console: Console, found: "CheckpointInfo", answers: "Answers", said: set[str]
) -> None:
    """Print what goes into the card, and where each answer comes from."""
    _fact(console, "id", answers.id)
    for name in ("structures", "ratio", "voxel_size", "scaling"):
        field = _FIELDS.get(name, name)
        question = found.question(name)
        if field in said:
            origin = "given"
        elif question is not None:
            origin = f"assumed: {question.reason}"
        else:
            origin = "in the file" if name == "structures" else "by the network's kind"
        value = _shown(getattr(answers, field))
        _fact(console, name.replace("_", " "), f"{value}   [{origin}]")
    _fact(console, "modality", answers.modality)
    _fact(console, "licence", answers.licence)


def _fact(console: Console, name: str, value: str) -> None:
    console.result(f"{name:<14}{value}")


def _shown(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, tuple | list):
        return ",".join(map(_shown, value))
    return f"{value:g}"
