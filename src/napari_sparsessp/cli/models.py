"""``sparsessp models``: list, show, import, fetch, export, verify and run models."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Argument, Option

from napari_sparsessp.cli.console import Console
from napari_sparsessp.cli.gallery import fetch_entry, is_terminal, list_gallery
from napari_sparsessp.cli.options import Group, console_of, parse_sizes
from napari_sparsessp.cli.raw_run import run_model
from napari_sparsessp.errors import InputError, ModelError
from napari_sparsessp.models.bundle_file import bundle_folder
from napari_sparsessp.models.card import SCALINGS, ModelCard, origin_words
from napari_sparsessp.models.gallery import find_entry
from napari_sparsessp.models.library import (
    all_entries,
    find_model,
    read_card,
    shipped_folder,
    user_folder,
)
from napari_sparsessp.tasks import Cancelled, cancel_on_interrupt, cancellable

if TYPE_CHECKING:
    from napari_sparsessp.models.importing import Answers, Question
    from napari_sparsessp.models.importing.answers import CheckpointInfo
    from napari_sparsessp.models.manage import Fetched

_ID = re.compile(r"[a-z0-9-]+")
"""Of the gallery: neither an address nor a DOI looks like it."""

app = typer.Typer(
    help="List, show, import, fetch, export, verify or run models.",
    cls=Group,
    rich_markup_mode=None,
)

# What a checkpoint leaves open: options of import and of fetch.
Id = Annotated[
    str | None, Option("--id", help="Id of the model; from the file's name.")
]
Name = Annotated[str | None, Option(help="Name for people.")]
Structures = Annotated[
    str | None, Option(help="Structures of the outputs, in their order: a,b,c.")
]
Ratio = Annotated[str | None, Option(help="Sparsity ratios it was trained for: R[,R].")]
GridVoxel = Annotated[
    str | None,
    Option(help="Z,Y,X in µm of the grid it was trained on; 0.29 published."),
]
Scaling = Annotated[
    str | None, Option(help="zscore (published), median_iqr (VisCy), robust or none.")
]
Modality = Annotated[
    str | None, Option(help="Transmitted light; bright-field published.")
]
HeadPool = Annotated[
    bool | None,
    Option("--head-pool/--no-head-pool", help="Whether a VisCy head averages pixels."),
]
Licence = Annotated[str | None, Option(help="Of the weights.")]
Citation = Annotated[str | None, Option(help="Whom to cite.")]
Overwrite = Annotated[
    bool, Option("--overwrite", help="Replace a model of the same id.")
]

_QUESTIONS = {
    "structures": "structures of its outputs, in order",
    "ratio": "sparsity ratio that it was trained for",
    "voxel_size": "voxel size Z,Y,X in µm",
    "scaling": "scaling of the input (zscore, median_iqr, robust, none)",
    "modality": "transmitted light that it was trained on",
    "head_pool": "whether the head averages pixels (yes, no)",
}
_PLAIN = (*("id_", "name", "scaling", "modality", "head_pool", "licence", "citation"),)
"""Options that answer as they are."""

_FIELDS = {"ratio": "ratios"}
"""Where `Answers` calls a thing differently."""


app.command("gallery")(list_gallery)
app.command("run")(run_model)


@app.command("import")
def import_model(
    context: typer.Context,
    file: Annotated[
        Path,
        Argument(
            help="RepMode .p, SparseSSP .pth, pytorch_fnet .p, VisCy .ckpt, a GVTNet's "
            "folder, a .safetensors, or the folder of a bundle."
        ),
    ],
    id_: Id = None,
    name: Name = None,
    structures: Structures = None,
    ratio: Ratio = None,
    voxel_size: GridVoxel = None,
    scaling: Scaling = None,
    modality: Modality = None,
    head_pool: HeadPool = None,
    licence: Licence = None,
    citation: Citation = None,
    out: Annotated[
        Path | None,
        Option(help="A .safetensors file or a folder; your models' if left out."),
    ] = None,
    overwrite: Overwrite = False,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Show what was found, write nothing.")
    ] = False,
) -> None:
    """Import a checkpoint or a model; nothing in it is executed."""
    console, given = console_of(context), _given_answers(context)
    if file.suffix.lower() == ".safetensors" or bundle_folder(file) is not None:
        if out is not None or dry_run:
            raise InputError(
                "--out and --dry-run are for checkpoints, and this file is a model "
                "already; leave them out"
            )
        _add_native(console, file, {}, given, overwrite)
        return
    checkpoint, answers = _complete_answers(console, file, given)
    if dry_run:
        console.note("nothing was written (--dry-run)")
        return
    _write_model(console, checkpoint, answers, out, overwrite)


@app.command()
def fetch(
    context: typer.Context,
    origin: Annotated[
        str,
        Argument(
            help="Id of a model of the gallery, https address of a model's file, or "
            "DOI[:file] of an archive.",
            metavar="ID|URL|DOI[:FILE]",
        ),
    ],
    accept_licence: Annotated[
        bool,
        Option("--accept-licence", help="Accept the licence of a gallery's model."),
    ] = False,
    sha256: Annotated[
        str | None, Option("--sha256", help="Checksum that the file must have.")
    ] = None,
    id_: Id = None,
    name: Name = None,
    structures: Structures = None,
    ratio: Ratio = None,
    voxel_size: GridVoxel = None,
    scaling: Scaling = None,
    modality: Modality = None,
    head_pool: HeadPool = None,
    licence: Licence = None,
    citation: Citation = None,
    overwrite: Overwrite = False,
) -> None:
    """Download a model and add it to yours; a checkpoint is imported.

    sparsessp models gallery lists the ids. What was stopped goes on where it was. The
    options from --structures on are for checkpoints, as for sparsessp models import.
    """
    console = console_of(context)
    given = _given_answers(context)
    if _ID.fullmatch(origin):
        if sha256 is not None:
            raise InputError(
                "--sha256 is for an address, and the gallery has checksums of its own; "
                "leave it out"
            )
        fetch_entry(
            console,
            find_entry(origin),
            given,
            accept_licence=accept_licence,
            overwrite=overwrite,
        )
        return
    fetched = _download(console, origin, sha256)
    console.fact("sha256", fetched.sha256)
    if not fetched.checked:
        console.note(
            "no checksum was given; compare this one with that of the model's page"
        )
    if fetched.is_native:
        _add_native(console, fetched.path, fetched.source, given, overwrite)
    else:
        try:
            checkpoint, answers = _complete_answers(console, fetched.path, given)
        except InputError:
            console.note(
                "the file is here; the same command does not download it again"
            )
            raise
        _write_model(console, checkpoint, answers, None, overwrite, fetched.source)
    fetched.forget()


def _given_answers(context: typer.Context) -> dict[str, Any]:
    """Read the fields of `Answers` that the options give."""
    given = {}
    for name, text in context.params.items():
        if text is None:
            continue
        if name == "structures":
            given[name] = text.split(",")
        elif name == "ratio":
            given["ratios"] = _ratios(text)
        elif name == "voxel_size":
            given[name] = parse_sizes(text, "--voxel-size", float)
        elif name in _PLAIN:
            given[name.strip("_")] = text
    return given


def _ratios(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"--ratio {text!r} is not a number; write R or R,R, for example 2,4,8"
        ) from None


def _download(console: Console, origin: str, sha256: str | None) -> "Fetched":
    from napari_sparsessp.models.manage import fetch_model

    progress = console.progress("downloading", "MB")
    with cancel_on_interrupt() as cancel:
        try:
            return fetch_model(
                origin, sha256=sha256, progress=cancellable(progress, cancel)
            )
        except Cancelled:
            raise Cancelled(
                "stopped; the same command goes on with the download"
            ) from None


def _add_native(
    console: Console,
    file: Path,
    source: dict[str, Any],
    given: dict[str, Any],
    overwrite: bool,
) -> None:
    from napari_sparsessp.models.library import card_of
    from napari_sparsessp.models.manage import add_model, rename_model

    id_, name = given.pop("id", None), given.pop("name", None)
    for field in given:  # or it would be lost without a word
        option = {"ratios": "ratio"}.get(field, field).replace("_", "-")
        raise InputError(
            f"--{option} is for checkpoints, and this model has a card that says it; "
            "leave it out"
        )
    path = add_model(file, id=id_, source=source or None, overwrite=overwrite)
    card = card_of(path) if name is None else rename_model(path, name)
    console.fact("id", card.id)
    console.fact("name", card.name)
    console.fact("structures", ", ".join(card.structures))
    console.fact("licence", card.licence)
    console.fact("model", path)


def _complete_answers(
    console: Console, file: Path, given: dict[str, Any]
) -> "tuple[CheckpointInfo, Answers]":
    """Inspect a checkpoint, ask what is open where a user can answer, and show all."""
    from napari_sparsessp.models.importing import answers_for, inspect_checkpoint

    console.progress(f"opening {file}")
    checkpoint = inspect_checkpoint(file)
    console.fact("format", checkpoint.format)
    for note in checkpoint.notes:
        console.fact("network", note)
    console.fact("parameters", f"{checkpoint.parameters:,}")
    if is_terminal():
        for question in checkpoint.questions:
            field = _FIELDS.get(question.name, question.name)
            if field not in given:
                given[field] = _ask(question)
    answers = answers_for(checkpoint, **given)
    _show_answers(console, checkpoint, answers, given)
    return checkpoint, answers


def _ask(question: "Question") -> Any:
    """Ask on standard error until the answer can be read."""
    from napari_sparsessp.models.importing.answers import structure_ids

    suggestion = _shown(question.suggestion)
    reason = f" ({question.reason})" if question.reason else ""
    default = f" [{suggestion}]" if suggestion else ""
    while True:
        sys.stderr.write(f"{_QUESTIONS[question.name]}{reason}{default}: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise typer.Abort
        text = line.strip() or suggestion
        try:
            if question.name == "structures":
                return structure_ids(text.split(","))
            if question.name == "ratio":
                return _ratios(text)
            if question.name == "voxel_size":
                return parse_sizes(text, "voxel size", float)
            return _chosen(question.name, text)
        except (InputError, typer.BadParameter) as error:
            typer.echo(str(error), err=True)


def _chosen(name: str, text: str) -> Any:
    if name == "head_pool":
        if text.lower() not in ("yes", "no"):
            raise InputError(f"{text!r} is no answer; write yes or no")
        return text.lower() == "yes"
    if name == "scaling" and text not in SCALINGS:
        raise InputError(f"{text!r} is no scaling; write {' or '.join(SCALINGS)}")
    return text


def _show_answers(
    console: Console,
    checkpoint: "CheckpointInfo",
    answers: "Answers",
    given: dict[str, Any],
) -> None:
    """Print what goes into the card, and where each answer comes from."""
    console.fact("id", answers.id)
    for name in _QUESTIONS:
        field = _FIELDS.get(name, name)
        question = checkpoint.question(name)
        if getattr(answers, field) is None:  # the file says it, or it means nothing
            continue
        if field in given:
            origin = "given"
        elif question is not None:
            origin = f"assumed: {question.reason}"
        else:
            origin = "in the file" if name == "structures" else "by the network's kind"
        value = _shown(getattr(answers, field))
        console.fact(name.replace("_", " "), f"{value}   [{origin}]")
    console.fact("licence", answers.licence)


def _shown(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return ",".join(map(_shown, value))
    return f"{value:g}"


def _write_model(
    console: Console,
    checkpoint: "CheckpointInfo",
    answers: "Answers",
    out: Path | None,
    overwrite: bool,
    source: dict[str, Any] | None = None,
) -> None:
    """Write the model; `source` says where its checkpoint came from."""
    from napari_sparsessp.models.importing import import_checkpoint

    progress = console.progress("importing")
    target = import_checkpoint(
        checkpoint.path, answers, out, overwrite, progress, source
    )
    console.fact("model", target)
    console.note("Check that you may use these weights: a card does not give the right")


@app.command()
def export(
    context: typer.Context,
    model: Annotated[str, Argument(help="Id or path of a model.")],
    out: Annotated[
        Path,
        Option("--out", "-o", help="A .safetensors file, a folder for it, or a .zip."),
    ],
    format_: Annotated[
        Literal["native", "bioimageio"] | None,
        Option(
            "--format", help="By the ending of --out if left out: .zip, bioimageio."
        ),
    ] = None,
    ratio: Annotated[
        int | None, Option(min=1, help="bioimageio: sparsity ratio of the input.")
    ] = None,
    overwrite: Annotated[
        bool, Option("--overwrite", help="Replace what is there.")
    ] = False,
) -> None:
    """Copy a model with its card, bit by bit, or write it as a bioimage.io package."""
    from napari_sparsessp.models.manage import export_model

    console = console_of(context)
    progress = console.progress(f"exporting {model}")
    if format_ == "bioimageio" or (format_ is None and out.suffix.lower() == ".zip"):
        from napari_sparsessp.io.samples import bundled_stack
        from napari_sparsessp.models.bioimageio import export_bioimageio

        with cancel_on_interrupt() as cancel:
            stopped = cancellable(progress, cancel)
            options: Any = {"ratio": ratio, "overwrite": overwrite, "progress": stopped}
            console.result(
                str(export_bioimageio(model, out, bundled_stack(), **options))
            )
        return
    if ratio is not None:
        raise InputError("--ratio is for --format bioimageio; leave it out")
    console.result(str(export_model(model, out, overwrite=overwrite)))


@app.command()
def verify(
    context: typer.Context,
    model: Annotated[
        str | None, Argument(help="Id or path of a model; all if left out.")
    ] = None,
) -> None:
    """Compare models with what their cards say: weights and a test input."""
    from napari_sparsessp.models.verification import verify_model

    console = console_of(context)
    chosen = [(model, model)] if model is not None else [
        (entry.card.id if entry.card else entry.path.stem, str(entry.path))
        for entry in all_entries()
    ]  # fmt: skip
    failed = []
    for name, path in chosen:
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


@app.command("list")
def list_all(context: typer.Context) -> None:
    """List the installed models."""
    console = console_of(context)
    rows = []
    for entry in all_entries():
        card = entry.card
        if card is None:
            console.warning(entry.problem)
            continue
        star = "*" if entry.is_default else " "
        ratios = ",".join(f"{ratio:g}" for ratio in card.ratios)
        rows.append(
            [
                f"{star} {card.id}",
                card.version,
                card.topology,
                f"r={ratios}",
                f"{len(card.structures)} structures" + _bundle_words(card, ", {}"),
                str(entry.path),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = map(str.ljust, row, widths)
        console.result("  ".join(cells).rstrip())
    console.note(f"* is the default. Your own models belong into {user_folder()}")


@app.command()
def show(
    context: typer.Context,
    model: Annotated[str, Argument(help="Id or path of a model.")] = "default",
    json: Annotated[
        bool, Option("--json", help="Print the card as it is in the file.")
    ] = False,
) -> None:
    """Show what a model is, what it was trained on and where it must not be trusted."""
    from napari_sparsessp.models.library import model_sha256

    console = console_of(context)
    card = read_card(model)
    if json:
        console.result(card.to_json())
        return
    path = find_model(model)
    for name, value in _facts(card, shipped=path.parent == shipped_folder()):
        console.fact(name, value)
    console.fact("file", path)
    console.fact("sha256", model_sha256(path))


def _bundle_words(card: ModelCard, text: str = "{}") -> str:
    """Say of how many models a bundle is; "" of another model."""
    count = len(card.members)
    return text.format(f"bundle of {count}") if count else ""


def _facts(card: ModelCard, *, shipped: bool) -> list[tuple[str, str]]:
    voxel = " × ".join(f"{size:g}" for size in card.voxel_size)
    facts = [
        ("id", card.id),
        ("name", f"{card.name}, version {card.version}"),
        ("licence", card.licence),
        ("structures", ", ".join(card.structures)),
        ("topology", f"{card.topology}, {card.mapping} mapping, {card.conditioning}"),
        ("voxel size", f"{voxel} µm (z, y, x)"),
        ("ratios", ", ".join(f"{ratio:g}" for ratio in card.ratios)),
        ("modality", card.modality),
        ("normalisation", card.normalisation),
        ("origin", origin_words(card.source, shipped=shipped)),
    ]
    if card.members:
        facts[4] = ("topology", f"{card.topology}, {_bundle_words(card)}")
        facts += [
            ("member", f"{one.id}: {', '.join(one.structures)} from {one.modality}")
            for one in card.members
        ]
    if card.z_projection != "none":
        plane = f"one plane, the {card.z_projection} of its planes over z"
        facts.insert(5, ("output", plane))
    source = dict(card.source)
    if "format" in source:
        imported = f"{source.pop('format')}, {source.pop('file', None)}"
        facts.append(("imported", imported))
    facts += [("source", f"{name}: {value}") for name, value in source.items()]
    facts.append(("trained on", card.trained_on))
    if card.citation:
        facts.append(("cite", card.citation))
    facts += [("score", f"{ratio}: {score}") for ratio, score in card.scores.items()]
    return facts + [("limit", limit) for limit in card.limits]
