"""``sparsessp benchmark quality``: how good models are, on what they have not seen."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from napari_sparsessp.cli.console import Console, clock
from napari_sparsessp.cli.options import (
    Debug,
    Device,
    JsonFile,
    OverwriteJson,
    Precision,
    Quiet,
    Version,
    console_of,
    numbers,
)
from napari_sparsessp.cli.report_file import earlier_results, write_report
from napari_sparsessp.errors import InputError
from napari_sparsessp.tasks import Progress, TimeLeft

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.quality import (
        FieldScores,
        FieldSource,
        PairName,
        QualityOptions,
        QualityReport,
    )
    from napari_sparsessp.models.library import Model
    from napari_sparsessp.prediction.report import ModelId
    from napari_sparsessp.prediction.request import PredictionRequest

Names = Annotated[
    list[str] | None,
    Option("--model", help="Id or path, once for each model; 'all' for all installed."),
]
RealPairs = Annotated[
    list[str] | None,
    Option(
        "--pair",
        metavar="FILE:SIGNAL:TARGET:STRUCTURE",
        help="Also score a real pair, for example cells.ome.tif:Bright-field:DNA:dna.",
    ),
]


def quality(
    context: typer.Context,
    model: Names = None,
    colonies: Annotated[
        int, Option(min=0, help="Held-out simulated colonies; 0 with --pair alone.")
    ] = 16,
    ratios: Annotated[
        str, Option(help="Whole numbers: keep every r-th plane.")
    ] = "1,2,4,8",
    pair: RealPairs = None,
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
    json: JsonFile = None,
    resume: Annotated[
        bool, Option("--resume", help="Go on with what the JSON file holds.")
    ] = False,
    device: Device = "auto",
    precision: Precision = "auto",
    overwrite: OverwriteJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """Score models on held-out simulated colonies and on real pairs.

    The truth of colonies is free of noise, their light is not. Beside each model stand
    predictors that need no learning and the noise ceiling of the truth. Ctrl-C keeps
    the fields that are done.
    """
    from napari_sparsessp.cli.sweep import whole_ratios
    from napari_sparsessp.evaluation.quality import (
        QualityOptions,
        QualityReport,
        colony_sources,
        parse_pair,
    )
    from napari_sparsessp.prediction.request import PredictionRequest

    console = console_of(context)
    size = numbers(shape, "--shape", int)
    assert size is not None
    wanted = whole_ratios(ratios)
    if wanted[-1] > size[0] and colonies:
        raise InputError(
            f"ratio {wanted[-1]} leaves no plane of {size[0]}; give ratios up to the "
            "planes of --shape"
        )
    options = QualityOptions(
        colonies=colonies, first_seed=seed, shape=size, photons=photons,
        ratios=wanted, pairs=tuple(pair or ()), base=base,
    )  # fmt: skip
    earlier = earlier_results(
        json,
        overwrite,
        resume,
        QualityReport.model_validate_json,
        "holds no scores of this command",
    )
    pairs = [parse_pair(one) for one in options.pairs]
    request = PredictionRequest.model_validate(
        {"device": device, "precision": precision}
    )
    models = _models(model or ["default"], base)
    sources = colony_sources(colonies, seed, size, photons)
    sources += [_pair_source(one) for one in pairs]
    if not sources:
        raise InputError("there is nothing to score on; add --colonies or --pair")
    _measure(console, models, sources, options, request, json, earlier)


def _measure(
    console: Console,
    models: "dict[str, Model]",
    sources: "list[FieldSource]",
    options: "QualityOptions",
    request: "PredictionRequest",
    json: Path | None,
    earlier: "QualityReport | None",
) -> None:
    from napari_sparsessp.cli.quality_table import quality_tables
    from napari_sparsessp.evaluation.quality import (
        measure_quality,
        quality_report,
        usable,
    )

    known = {} if earlier is None else usable(earlier, _ids(models), options)
    fields: list[FieldScores] = []

    def report() -> "QualityReport":
        done = len(fields) == len(sources)
        return quality_report(fields, _ids(models), options, done)

    found = measure_quality(
        models, sources, options.ratios, request, known, _teller(console)
    )
    try:
        for one in found:
            fields.append(one)
            if json is not None:
                write_report(json, report().to_json())
    finally:
        # Also after Ctrl-C and errors: what was measured is told and kept.
        if fields:
            console.result(quality_tables(report()))
            if len(fields) < len(sources):
                console.warning(
                    f"stopped early; {len(fields)} of {len(sources)} fields were scored"
                    + ("; go on with --resume" if json is not None else "")
                )


def _ids(models: "dict[str, Model]") -> "dict[str, ModelId]":
    from napari_sparsessp.prediction.report import ModelId

    return {
        name: ModelId(id=one.card.id, sha256=one.sha256) for name, one in models.items()
    }


def _models(wanted: Sequence[str], base: str | None) -> "dict[str, Model]":
    """Load the models; two of one id are told apart by their weights."""
    from napari_sparsessp.models.library import list_models, load_model

    names: list[str] = []
    for one in wanted:
        names += [card.id for card in list_models()] if one == "all" else [one]
    loaded: dict[str, Model] = {}
    for one in dict.fromkeys(names):
        model = load_model(one)
        name = model.card.id
        if name in loaded and loaded[name].sha256 == model.sha256:
            continue
        if name in loaded:
            name = f"{name} ({model.sha256[:8]})"
        loaded[name] = model
    if base is not None and base not in loaded:
        raise InputError(
            f"--base {base} is none of the models scored: {', '.join(loaded)}; name "
            "one of them"
        )
    return loaded


def _pair_source(pair: "PairName") -> "FieldSource":
    """Check at once that both channels are there; voxels are read later."""
    from napari_sparsessp.evaluation.quality import REAL, Field, FieldSource
    from napari_sparsessp.io.reading import load_volume
    from napari_sparsessp.structures import find_structure

    try:
        structure = find_structure(pair.structure).id
    except InputError:
        structure = pair.structure  # of a model that brings its own
    light = load_volume(pair.path, channel=pair.signal)
    truth = load_volume(pair.path, channel=pair.target)
    for volume in (light, truth):
        if volume.axes != "ZYX":
            raise InputError(
                f"{pair.path} is no single stack but has axes {volume.axes}; cut one "
                "time point out"
            )
    name = f"{Path(pair.path).name} ({structure})"
    opened = Field(name, REAL, light, {structure: truth})
    return FieldSource(name, REAL, lambda: opened)


def _teller(console: Console) -> Progress:
    time_left = TimeLeft()

    def show(done: float, total: float | None = None, what: str = "") -> None:
        assert total is not None
        seconds = time_left(done / total)
        left = "" if seconds is None else f"; {clock(seconds)} left"
        number = min(int(done) + 1, int(total))
        console.progress(f"[{number}/{total:.0f}] {what}{left}")

    return show
