"""``sparsessp benchmark``: how fast the networks are, and how good the models."""

import json as json_module
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Option

from napari_sparsessp.cli import options
from napari_sparsessp.cli.console import (
    COLUMNS,
    Console,
    Rows,
    check_output,
    number,
    write_report,
)
from napari_sparsessp.cli.evaluate import BASELINES, SWEEP_SCORES
from napari_sparsessp.cli.options import Group, console_of, parse_ratios, parse_sizes
from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import structure_id

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.quality import (
        FieldScores,
        FieldSource,
        QualityOptions,
        QualityReport,
        Row,
    )
    from napari_sparsessp.evaluation.quality import Group as FieldGroup
    from napari_sparsessp.models.library import Model
    from napari_sparsessp.prediction.request import PredictionRequest

app = typer.Typer(
    help="Measure the networks and the models.", cls=Group, rich_markup_mode=None
)


@app.command()
def quality(
    context: typer.Context,
    model: Annotated[
        list[str] | None,
        Option(help="Id or path, once for each model; 'all' for all installed."),
    ] = None,
    colonies: Annotated[
        int, Option(min=0, help="Held-out simulated colonies; 0 with --pair alone.")
    ] = 16,
    ratios: Annotated[
        str, Option(help="Whole numbers: keep every r-th plane.")
    ] = "1,2,4,8",
    pair: Annotated[
        list[str] | None,
        Option(
            metavar="FILE:SIGNAL:TARGET:STRUCTURE",
            help="Also score a real pair, for example "
            "cells.ome.tif:Bright-field:DNA:dna.",
        ),
    ] = None,
    base: Annotated[
        str | None,
        Option(help="Model that improvements are against; by default each its own."),
    ] = None,
    seed: Annotated[
        int, Option(min=0, help="Of the first colony; each has the next.")
    ] = 1_000_000,
    shape: Annotated[
        str, Option(metavar="Z,Y,X", help="Voxels of 0.29 µm of a colony.")
    ] = "56,160,160",
    photons: Annotated[
        float, Option(min=0, help="At the bright end of the light; 0: no noise.")
    ] = 20_000,
    json: options.JsonFile = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    overwrite: options.OverwriteJson = False,
) -> None:
    """Score models on held-out simulated colonies and on real pairs.

    The truth of colonies is free of noise, their light is not. Beside each model stand
    predictors that need no learning and the noise ceiling of the truth. Ctrl-C keeps
    the fields that are done.
    """
    from napari_sparsessp.evaluation.quality import (
        QualityOptions,
        colony_sources,
        parse_pair,
    )
    from napari_sparsessp.prediction.request import PredictionRequest

    size = parse_sizes(shape, "--shape", int)
    wanted = parse_ratios(ratios)
    if wanted[-1] > size[0] and colonies:
        raise InputError(
            f"ratio {wanted[-1]} leaves no plane of {size[0]}; give ratios up to the "
            "planes of --shape"
        )
    options = QualityOptions(
        colonies=colonies, first_seed=seed, shape=size, photons=photons,
        ratios=wanted, pairs=tuple(pair or ()), base=base,
    )  # fmt: skip
    check_output(json, overwrite)
    pairs = [parse_pair(text) for text in options.pairs]
    request = PredictionRequest.model_validate(
        {"device": device, "precision": precision}
    )
    models = _load_models(model or ["default"], base)
    sources = colony_sources(colonies, seed, size, photons)
    sources += [_pair_source(*pair) for pair in pairs]
    if not sources:
        raise InputError("there is nothing to score on; add --colonies or --pair")
    _measure_quality(console_of(context), models, sources, options, request, json)


def _measure_quality(
    console: Console,
    models: "dict[str, Model]",
    sources: "list[FieldSource]",
    options: "QualityOptions",
    request: "PredictionRequest",
    json: Path | None,
) -> None:
    from napari_sparsessp.evaluation.quality import measure_quality, quality_report
    from napari_sparsessp.prediction.report import ModelId

    ids = {
        name: ModelId(id=model.card.id, sha256=model.sha256)
        for name, model in models.items()
    }
    fields: list[FieldScores] = []
    progress = console.progress("scoring", "field")

    def report() -> "QualityReport":
        return quality_report(fields, ids, options, len(fields) == len(sources))

    try:
        for scores in measure_quality(
            models, sources, options.ratios, request, progress
        ):
            fields.append(scores)
            if json is not None:
                write_report(json, report().to_json())
    finally:
        # Also after Ctrl-C and errors: what was measured is shown and kept.
        if fields:
            _show_quality(console, report())
            if len(fields) < len(sources):
                console.warning(
                    f"stopped early; {len(fields)} of {len(sources)} fields were scored"
                )


def _load_models(wanted: Sequence[str], base: str | None) -> "dict[str, Model]":
    """Load the models; two of the same id are named by their weights."""
    from napari_sparsessp.models.library import list_models, load_model

    names: list[str] = []
    for name in wanted:
        names += [card.id for card in list_models()] if name == "all" else [name]
    loaded: dict[str, Model] = {}
    for name in dict.fromkeys(names):
        model = load_model(name)
        id_ = model.card.id
        if id_ in loaded and loaded[id_].sha256 == model.sha256:
            continue
        if id_ in loaded:
            id_ = f"{id_} ({model.sha256[:8]})"
        loaded[id_] = model
    if base is not None and base not in loaded:
        raise InputError(
            f"--base {base} is none of the models scored: {', '.join(loaded)}; name "
            "one of them"
        )
    return loaded


def _pair_source(
    path: str, signal: str | int, target: str | int, name: str
) -> "FieldSource":
    """Check at once that both channels are there; voxels are read later."""
    from napari_sparsessp.evaluation.quality import REAL, Field, FieldSource
    from napari_sparsessp.io.reading import load_volume

    structure = structure_id(name)
    light = load_volume(path, channel=signal)
    truth = load_volume(path, channel=target)
    for volume in (light, truth):
        if volume.axes != "ZYX":
            raise InputError(
                f"{path} is no single stack but has axes {volume.axes}; cut one "
                "time point out"
            )
    title = f"{Path(path).name} ({structure})"
    opened = Field(title, REAL, light, {structure: truth})
    return FieldSource(title, REAL, lambda: opened)


def _show_quality(console: Console, report: "QualityReport") -> None:
    """Print every group: all means in one table, then tables for each model."""
    from napari_sparsessp.evaluation.quality import REAL, SIMULATED

    groups = {
        SIMULATED: "held-out simulated colonies, truth free of noise",
        REAL: "real pairs",
    }
    base = report.options.base
    against = f"{base} at" if base else "the model's own"
    first = min(report.options.ratios)
    for name, group in report.groups.items():
        console.result(f"{group.fields} {groups[name]}\n")
        console.table(_mean_rows(group))
        console.result(
            "\nMeans over structures, each weighing alike; R² of images: mean over "
            f"images. Δ: improvement of the means over images on {against} r = {first}."
        )
        for model in group.models:
            for score in SWEEP_SCORES:
                if any(row.structures for row in group.models[model].values()):
                    console.result("")
                    console.table(_structure_rows(group, model, score))


def _mean_rows(group: "FieldGroup") -> Rows:
    from napari_sparsessp.evaluation.quality import IMPROVED
    from napari_sparsessp.metrics import FIELDS

    def values(row: "Row") -> list[str]:
        mean = row.means["over_structures"]
        images = row.means["over_images"]["r2"]
        return [*(number(mean[score]) for score in FIELDS), number(images)]

    def percent(value: float | None) -> str:
        return "–" if value is None else f"{value:+.1f} %"

    changes = [f"Δ {COLUMNS[score]}" for score in IMPROVED]
    headings = [*(COLUMNS[score] for score in FIELDS), "R² of images", *changes]
    rows = [["mean of structures", *headings]]
    for name, ratios in group.models.items():
        for ratio, row in ratios.items():
            deltas = [percent(row.delta_imp.get(score)) for score in IMPROVED]
            rows.append([f"{name}, r = {ratio}", *values(row), *deltas])
    for which, row in group.baselines.items():
        name = BASELINES.get(which, which)
        rows.append([name, *values(row), *("" for _ in IMPROVED)])
    return rows


def _structure_rows(group: "FieldGroup", model: str, score: str) -> Rows:
    columns = {f"r={ratio}": row for ratio, row in group.models[model].items()}
    columns |= {name: group.baselines[which] for which, name in BASELINES.items()}
    columns["ceiling"] = group.baselines["ceiling"]
    rows = [[f"{model}, {SWEEP_SCORES[score]}", *columns]]
    structures = next(row.structures for row in group.models[model].values())
    for name in structures:
        values = (row.structures.get(name, {}).get(score) for row in columns.values())
        rows.append([name, *map(number, values)])
    means = (row.means["over_structures"][score] for row in columns.values())
    return [*rows, ["mean of structures", *map(number, means)]]


@app.command()
def speed(
    context: typer.Context,
    json: options.JsonFile = None,
    rows: Annotated[
        str | None,
        Option(
            help="Only rows with these words, choices separated by commas: "
            "'dodnet 3to2d,slim'."
        ),
    ] = None,
    threads: Annotated[
        int | None, Option(min=1, max=1024, help="CPU threads; by default all.")
    ] = None,
    precision: Annotated[Literal["fp32", "bf16"], Option()] = "fp32",
    quick: Annotated[
        bool, Option("--quick", help="A handful of rows on a 32×64×64 patch.")
    ] = False,
    field: Annotated[
        bool,
        Option(
            "--field",
            help="Instead: one field of view (65×232×344 voxels, 12 structures) by "
            "the model that ships, FNet, RepMode 3D and SparseSSP.",
        ),
    ] = False,
    device: Annotated[
        Literal["cpu", "cuda", "mps"], Option(help="With --field.")
    ] = "cpu",
    overwrite: options.OverwriteJson = False,
) -> None:
    """Time, cost and memory of every combination for one patch, on the CPU.

    With --field, of a whole field of view beside the published ways.

    One row after the other, each in a fresh process; Ctrl-C stops at once and keeps
    what was measured.
    """
    from napari_sparsessp.evaluation.speed import (
        FieldOptions,
        SpeedOptions,
        all_threads,
        choose_rows,
        field_rows,
        measure_field,
        measure_speed,
    )
    from napari_sparsessp.evaluation.speed_tables import field_text, speed_text

    console = console_of(context)
    if field and (rows or quick):
        raise InputError("--rows and --quick are of a patch; leave them or --field out")
    if not field and device != "cpu":
        raise InputError("--device is of --field; add it")
    check_output(json, overwrite)
    threads = threads or all_threads()
    on_progress = console.progress("measuring", "row")
    if field:
        view = FieldOptions(threads=threads, device=device)
        ways = field_rows()
        results = measure_field(ways, view, on_progress)
        _follow(console, results, json, field_text, len(ways))
        return
    chosen = choose_rows(rows.split(",") if rows else (), quick)
    patch = SpeedOptions(
        size=(64, 64) if quick else (128, 128),
        threads=threads,
        precision=precision,
        repeats=2 if quick else 3,
    )
    results = measure_speed(chosen, patch, on_progress)
    _follow(console, results, json, speed_text, len(chosen))


def _follow(
    console: Console,
    results: Generator[dict[str, Any]],
    json: Path | None,
    text: Callable[[dict[str, Any]], str],
    rows: int,
) -> None:
    """Write JSON after each row; print the table at the end, and after Ctrl-C."""
    result: dict[str, Any] = {}
    try:
        with closing(results):
            for result in results:
                if json is not None:
                    write_report(json, json_module.dumps(result, indent=2))
    finally:
        if result:
            console.result(text(result))
            if not result["finished"]:
                done = f"{len(result['rows'])} of {rows} rows were measured"
                console.warning(f"stopped early; {done}")
