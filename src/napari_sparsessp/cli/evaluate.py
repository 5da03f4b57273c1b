"""``sparsessp evaluate`` and ``sweep``: scores of an image, scores by sparsity."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from napari_sparsessp.cli import options
from napari_sparsessp.cli.console import (
    Console,
    Rows,
    check_output,
    make_folder,
    number,
    score_rows,
    write_report,
)
from napari_sparsessp.cli.options import (
    console_of,
    load_truth,
    model_structure,
    name_or_index,
    parse_ratios,
    request_of,
)
from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.structures import match_channel
from napari_sparsessp.version import __version__
from napari_sparsessp.volume import READ_ERRORS, Volume

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.html import SweepResults
    from napari_sparsessp.evaluation.sampling_advice import Rule
    from napari_sparsessp.evaluation.sweep_report import SweepReport
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.prediction.request import PredictionRequest

SCORES = "sweep.json"
FIGURE = "sweep.png"
PAGE = "sweep.html"

SWEEP_SCORES = {"r2": "R²", "pcc_plane": "PCC in planes"}
"""The paper's score, and the one to judge real cells by."""

BASELINES = {
    "plane_mean": "plane mean",
    "smoothness": "smoothness",
    "input": "input",
    "negative": "negative",
}
"""Headings of the trivial predictors."""


def evaluate(
    context: typer.Context,
    prediction: Annotated[str, Argument(help="The predicted image.")],
    truth: Annotated[str, Argument(help="The image to compare it with.")],
    channel: Annotated[
        str | None, Option(help="Channel of the prediction; by default all.")
    ] = None,
    truth_channel: Annotated[
        str | None, Option(help="Channel of the truth; by default by name.")
    ] = None,
    axes: options.Axes = None,
    report: Annotated[Path | None, Option(help="Write the scores as JSON.")] = None,
    overwrite: Annotated[
        bool, Option("--overwrite", help="Replace an existing report.")
    ] = False,
) -> None:
    """Score a prediction against its truth, structure by structure."""
    from napari_sparsessp.evaluation.agreement import on_the_same_grid, score_times
    from napari_sparsessp.io.reading import load_volume
    from napari_sparsessp.prediction.domain_shift import SEEN

    console = console_of(context)
    check_output(report, overwrite)
    warnings: list[str] = []

    def warn(text: str) -> None:
        if text not in warnings:
            warnings.append(text)
            console.warning(text)

    about = _provenance(prediction)
    if SEEN in (about or {}).get("warnings", ()):
        warn(SEEN)
    predicted, expected = (
        load_volume(path, channel=name_or_index(name), axes=axes)
        for path, name in ((prediction, channel), (truth, truth_channel))
    )
    # Ours is in units of its z-scored truth, or as its model's were.
    predicted = predicted.with_(
        zscored=about is not None, in_iqrs=(about or {}).get("units") == "iqr"
    )
    times = _predicted_times(predicted, expected, about or {})
    if times is not None:
        warn(
            f"of the truth, time point{'s' * (len(times) > 1)} "
            f"{', '.join(map(str, times))}, as the prediction was made"
        )
    scores = {}
    for name, mine, other in _pairs(predicted, expected):
        console.progress(f"scoring {name}")
        with _reading(prediction, truth):
            named = other.with_(name=name)
            stacks = on_the_same_grid(named, mine, warn, times=times)
            scores[name] = score_times(mine, stacks, warn)
    console.table(score_rows(scores))
    if report is not None:
        content = {
            "schema": 1,
            "package": __version__,
            "prediction": prediction,
            "truth": truth,
            "structures": scores,
            "warnings": warnings,
        }
        write_report(report, json.dumps(content, indent=2, allow_nan=False))


def _provenance(path: str) -> dict[str, Any] | None:
    """Return the provenance of a prediction of ours; None of any other image."""
    from napari_sparsessp.io.writing import read_provenance

    try:
        return read_provenance(path)
    except InputError:  # a format that can hold none
        return None


def _predicted_times(
    prediction: Volume, truth: Volume, made: dict[str, Any]
) -> tuple[int, ...] | None:
    """Return the truth's time points that were predicted; None for all of them.

    As the request says, where the truth has others too.
    """
    from napari_sparsessp.prediction.plan import time_points

    request = made.get("request")
    wanted = request.get("time") if isinstance(request, dict) else None
    count = prediction.sizes.get("T", 1)
    if wanted is None or truth.sizes.get("T", 1) == count:
        return None
    try:
        times = time_points(truth, str(wanted))
    except InputError:  # it is of another time-lapse
        return None
    return times if times is not None and len(times) == count else None


@contextmanager
def _reading(prediction: str, truth: str) -> Iterator[None]:
    """Voxels are read while they are scored; what fails then is the file's fault."""
    try:
        yield
    except READ_ERRORS as error:
        raise InputError(
            f"cannot read the voxels of {prediction} or {truth} ({error}); one of "
            "them may be damaged"
        ) from error


def _pairs(predicted: Volume, expected: Volume) -> list[tuple[str, Volume, Volume]]:
    """Return (name, prediction, truth) of each structure that both have."""

    def single(volume: Volume, channel: int) -> Volume:
        return volume.channel(channel) if "C" in volume.axes else volume

    count = predicted.sizes.get("C", 1)
    names = predicted.channel_names or tuple(f"channel {i}" for i in range(count))
    if count == 1 and "C" not in expected.axes:
        return [(names[0], single(predicted, 0), expected)]
    if not expected.channel_names:
        raise InputError(
            "the truth's channels have no names; choose one with --truth-channel "
            "and the prediction's with --channel"
        )
    pairs = []
    for index, name in enumerate(names):
        match = match_channel(name, expected.channel_names)
        if match is not None:
            pairs.append((name, single(predicted, index), single(expected, match)))
    if not pairs:
        raise InputError(
            f"no channel of the truth ({', '.join(expected.channel_names)}) is one of "
            f"the prediction's ({', '.join(names)}); choose with --channel and "
            "--truth-channel"
        )
    return pairs


@dataclass(frozen=True)
class _Sweep:
    """The options of a sweep besides the request."""

    out: Path | None
    ratios: tuple[int, ...]
    all_phases: bool
    against_dense: bool
    rule: "Rule"


def sweep(
    context: typer.Context,
    input: options.Stack,  # noqa: A002 - the request's own word
    truth: options.Truth = None,
    ratios: Annotated[
        str, Option(help="Whole numbers: keep every r-th plane.")
    ] = "1,2,4,8",
    out: Annotated[
        Path | None,
        Option("--out", "-o", help="Folder for JSON, figure and HTML page."),
    ] = None,
    all_phases: Annotated[
        bool,
        Option("--all-phases", help="Start at each of the first r planes in turn."),
    ] = False,
    against_dense: Annotated[
        bool,
        Option(
            "--against-dense",
            help="There is no truth: measure how much the prediction itself changes.",
        ),
    ] = False,
    keep: Annotated[
        float | None,
        Option(help="Share of the densest stack's R² to keep; 0.95 if left out."),
    ] = None,
    tolerance: Annotated[
        float | None, Option(min=0, help="Instead of --keep: R² that may be lost.")
    ] = None,
    channel: options.Channel = None,
    scene: options.Scene = None,
    time: Annotated[
        int | None, Option(min=0, help="Time point; the first if left out.")
    ] = None,
    model: options.ModelName = "default",
    topology: options.Topology = None,
    structures: Annotated[
        str, Option(help="Names, parted by commas; all that have a truth.")
    ] = "all",
    axes: options.Axes = None,
    voxel_size: options.VoxelSize = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    tile: options.TileSize = None,
    overlap: options.Overlap = None,
    memory_limit: options.MemoryLimit = None,
    tta: options.Tta = False,
    mask_invalid: options.MaskInvalid = False,
    reconstruct: options.Reconstruct = None,
    na: options.ObjectiveNa = None,
    na_condenser: options.CondenserNa = None,
    wavelength: options.Wavelength = None,
    index: options.Index = None,
    planes_downwards: options.PlanesDownwards = False,
    regularisation: options.Regularisation = 1e-2,
    overwrite: Annotated[
        bool, Option("--overwrite", help="Replace an earlier sweep's files.")
    ] = False,
) -> None:
    """Measure how R² falls as planes of a dense stack are left out.

    Every r-th plane is kept, the rest is never looked at. Scores are against a truth;
    with --against-dense, against the model's own prediction from all planes, which
    says nothing of whether that one is right. Ctrl-C keeps the ratios that are done.
    """
    console = console_of(context)
    asked = request_of(context)
    rule = _rule(keep, tolerance)
    job = _Sweep(out, parse_ratios(ratios), all_phases, against_dense, rule)
    files = [] if out is None else [out / name for name in (SCORES, FIGURE, PAGE)]
    if out is not None and out.exists():
        if not out.is_dir():
            raise OutputError(f"{out} is a file; give a folder with --out")
        for path in files:
            check_output(path, overwrite)
    _sweep(console, asked, job)
    for path in files:
        console.result(str(path.resolve()))


def _rule(keep: float | None, tolerance: float | None) -> "Rule":
    """Choose which R² is enough."""
    from napari_sparsessp.evaluation.sampling_advice import KeepShare, LoseAtMost

    if keep is not None and tolerance is not None:
        raise InputError(
            "--keep and --tolerance both say what is enough; leave one of them out"
        )
    if tolerance is not None:
        return LoseAtMost(tolerance)
    return KeepShare() if keep is None else KeepShare(keep)


def _sweep(console: Console, asked: "PredictionRequest", job: _Sweep) -> None:
    from napari_sparsessp.evaluation.html import SweepResults
    from napari_sparsessp.evaluation.sweep import plan_sweep, run_sweep
    from napari_sparsessp.io.reading import load_volume
    from napari_sparsessp.models.library import read_card
    from napari_sparsessp.prediction.domain_shift import SEEN, was_trained_on

    card = read_card(asked.model, asked.topology)
    console.progress(f"opening {asked.input}")
    volume = load_volume(asked.input, scene=asked.scene, axes=asked.axes)
    stack = _single_stack(console, volume, asked)
    dense = job.against_dense
    truth = {} if dense and not asked.truth else _truth(asked, card, volume)
    how = {"all_phases": job.all_phases, "against_dense": dense}
    runs = plan_sweep(card, stack, truth, asked, job.ratios, **how)
    if job.out is not None:
        make_folder(job.out)
    console.progress("reading the stack" if dense else "scoring the baselines")
    findings = SweepResults(runs, pictures=job.out is not None)
    for warning in dict.fromkeys(text for run in runs for text in run.plan.warnings):
        console.warning(warning)
    if was_trained_on(card, stack):
        console.warning(SEEN)
    console.progress("loading the model")

    from napari_sparsessp.models.library import load_model

    loaded = load_model(asked.model, asked.topology)
    tiles = console.progress("sweeping", "tile")

    try:
        for result, prediction in run_sweep(loaded, runs, tiles):
            findings.add(result, prediction)
            if job.out is not None:
                write_report(job.out / SCORES, findings.report(job.rule).to_json())
    finally:
        # Also after Ctrl-C and errors: what was measured is shown and kept.
        if findings.results:
            _finish_sweep(console, findings, job)


def _single_stack(
    console: Console, volume: Volume, asked: "PredictionRequest"
) -> Volume:
    """Choose channel and time point."""
    from napari_sparsessp.prediction.plan import one_channel

    stack = one_channel(volume, asked.channel)
    if "T" in stack.axes and asked.time is None and stack.sizes["T"] > 1:
        console.warning(
            f"the first of {stack.sizes['T']} time points is swept; choose another "
            "with --time"
        )
    return stack.time(int(asked.time or 0))


def _truth(
    asked: "PredictionRequest", card: "ModelCard", volume: Volume
) -> dict[str, Volume]:
    """Open the truths of the structures asked for, at the time point of the input."""
    truth = load_truth(asked.truth, card.structures)
    if asked.structures != "all":
        names = [model_structure(name, card.structures) for name in asked.structures]
        missing = [name for name in names if name not in truth]
        if missing:
            raise InputError(
                f"there is no truth for {missing[0]}; add --truth {missing[0]}=FILE or "
                "leave it out of --structures"
            )
        truth = {name: truth[name] for name in names}
    times = {name: labels.sizes.get("T", 1) for name, labels in truth.items()}
    for name, count in times.items():
        if count not in (1, volume.sizes.get("T", 1)):
            raise InputError(
                f"the truth of {name} has {count} time points, the input "
                f"{volume.sizes.get('T', 1)}; give as many"
            )
    return {
        name: labels.time(int(asked.time or 0) if times[name] > 1 else 0)
        for name, labels in truth.items()
    }


def _finish_sweep(console: Console, findings: "SweepResults", job: _Sweep) -> None:
    """Write the files, print the tables and the answer."""
    from napari_sparsessp.evaluation.figures import sweep_figure, write_figure

    report = findings.report(job.rule)
    if job.out is not None:
        write_report(job.out / SCORES, report.to_json())
        write_figure(sweep_figure(report), job.out / FIGURE)
        findings.write_page(job.out / PAGE, job.rule)
    for score in SWEEP_SCORES:
        console.table(_sweep_rows(report, score))
        console.result("")
    if not report.finished:
        asked = sorted({run.ratio for run in findings.runs})
        done = ", ".join(str(at.ratio) for at in report.ratios)
        console.warning(
            f"stopped early: of the ratios {', '.join(map(str, asked))} these are done "
            f"and kept: {done}"
        )
    console.result(report.answer)


def _sweep_rows(report: "SweepReport", score: str) -> Rows:
    """Make a table of one score: structures down, ratios and baselines across."""
    from napari_sparsessp.evaluation.sweep_report import reference_scores

    baselines = () if report.against_dense else tuple(BASELINES)
    ceiling = () if report.against_dense else ("ceiling",)
    counts = ["planes needed"] if score == "r2" else []
    ratios = [f"r={at.ratio} ({at.planes})" for at in report.ratios]
    headings = [*ratios, *(BASELINES[name] for name in baselines), *ceiling, *counts]
    rows = [[SWEEP_SCORES[score], *headings]]
    for name in report.structures:
        values = [point.value for point in report.curve(score, name)]
        trivial = report.baselines.trivial[name]
        values += [trivial[baseline].get(score) for baseline in baselines]
        values += [(report.baselines.ceiling[name] or {}).get(score)] * len(ceiling)
        needed = report.planes_needed[name]
        count = "–" if needed is None else str(needed)
        rows.append([name, *map(number, values), *([count] if counts else [])])
    if len(report.structures) > 1:
        means = [point.value for point in report.curve(score)]
        references = reference_scores(report, score)
        means += [references[name] for name in (*baselines, *ceiling)]
        rows.append(["mean of structures", *map(number, means), *("" for _ in counts)])
    return rows
