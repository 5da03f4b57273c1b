"""``sparsessp models``: which models are there, and what their cards say."""

from typing import Annotated

import typer

from napari_sparsessp.cli import model_fetch, model_files, model_import, model_run
from napari_sparsessp.cli.options import Debug, Quiet, Version, console_of
from napari_sparsessp.errors import ModelError
from napari_sparsessp.models.card import ModelCard, origin_words
from napari_sparsessp.models.library import (
    DEFAULT_MODEL,
    find_model,
    installed_models,
    read_card,
    shipped_folder,
    user_folder,
)

app = typer.Typer(rich_markup_mode=None)
app.command("import")(model_import.import_model)
app.command("fetch")(model_fetch.fetch)
app.command("export")(model_files.export)
app.command("verify")(model_files.verify)
app.command("run")(model_run.run_model)


@app.callback(invoke_without_command=True)
def models(
    context: typer.Context,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """List, show, import, fetch, export, verify or run models."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("list")
def list_all(
    context: typer.Context,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """List the installed models."""
    console = console_of(context)
    rows = []
    for path, card in installed_models():
        if isinstance(card, ModelError):
            console.warning(str(card))
            continue
        star = "*" if card.id == DEFAULT_MODEL else " "
        ratios = ",".join(f"{ratio:g}" for ratio in card.ratios)
        rows.append(
            (
                f"{star} {card.id}",
                card.version,
                card.topology,
                f"r={ratios}",
                f"{len(card.structures)} structures",
                str(path),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(5)] if rows else []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:5], widths, strict=True)]
        console.result("  ".join([*cells, row[5]]))
    console.note(f"* is the default. Your own models belong into {user_folder()}")


@app.command("show")
def show(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Id or path of a model.")] = "default",
    json: Annotated[
        bool, typer.Option("--json", help="Print the card as it is in the file.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """Show what a model is, what it was trained on and where it must not be trusted."""
    from napari_sparsessp.models.library import file_sha256, weights_file

    console = console_of(context)
    card = read_card(model)
    if json:
        console.result(card.to_json())
        return
    path = find_model(model)
    shipped = path.parent == shipped_folder()
    for name, value in _facts(card, shipped=shipped):
        console.result(f"{name:<14}{value}")
    for ratio, score in card.scores.items():
        console.result(f"{'score':<14}{ratio}: {score}")
    for limit in card.limits:
        console.result(f"{'limit':<14}{limit}")
    console.result(f"{'file':<14}{path}")
    console.result(f"{'sha256':<14}{file_sha256(weights_file(path))}")


def _origin(card: ModelCard, *, shipped: bool) -> list[tuple[str, str]]:
    """Where a model comes from: in words, then what its card keeps of it."""
    rows = [("origin", origin_words(card.source, shipped=shipped))]
    rest = dict(card.source)
    if "format" in rest:
        rows.append(("imported", f"{rest.pop('format')}, {rest.pop('file', None)}"))
    return rows + [("source", f"{name}: {value}") for name, value in rest.items()]


def _output(card: ModelCard) -> list[tuple[str, str]]:
    """What a model gives where it is no stack."""
    if card.z_projection == "none":
        return []
    return [("output", f"one plane, the {card.z_projection} of its planes over z")]


def _facts(card: ModelCard, *, shipped: bool) -> list[tuple[str, str]]:
    voxel = " × ".join(f"{size:g}" for size in card.voxel_size)
    return [
        ("id", card.id),
        ("name", f"{card.name}, version {card.version}"),
        ("licence", card.licence),
        ("structures", ", ".join(card.structures)),
        ("topology", f"{card.topology}, {card.mapping} mapping, {card.conditioning}"),
        *_output(card),
        ("voxel size", f"{voxel} µm (z, y, x)"),
        ("ratios", ", ".join(f"{ratio:g}" for ratio in card.ratios)),
        ("modality", card.modality),
        ("normalisation", card.normalisation),
        *_origin(card, shipped=shipped),
        ("trained on", card.trained_on),
    ] + ([("cite", card.citation)] if card.citation else [])
