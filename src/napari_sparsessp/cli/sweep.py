"""``sparsessp sweep``: how R² falls as planes are left out, and how many are needed."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from napari_sparsessp.cli.console import Console, clock
from napari_sparsessp.cli.options import (
    Channel,
    Debug,
    Device,
    MaskInvalid,
    MemoryLimit,
    ModelName,
    Overlap,
    Precision,
    Quiet,
    Scene,
    TileSize,
    Topology,
    Truth,
    Turns,
    Version,
    VoxelSize,
    console_of,
)
from napari_sparsessp.cli.report_file import (
    check_report_path,
    make_folder,
    write_report,
)
from napari_sparsessp.cli.request_file import (
    make_request,
    options_given,
    request_fields,
)
from napari_sparsessp.cli.sweep_table import sweep_table
from napari_sparsessp.cli.truth import load_truth, model_structure
from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.tasks import Progress, TimeLeft

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.html import SweepResults
    from napari_sparsessp.evaluation.sampling_advice import Rule

    from napari_sparsessp.evaluation.sweep_report import SweepReport
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.prediction.request import PredictionRequest
    from napari_sparsessp.volume import Volume

SCORES = "sweep.json"
FIGURE = "sweep.png"
PAGE = "sweep.html"


@dataclass(frozen=True)
class _Job:
    """What the options ask for besides the request."""

    out: Path | None
    ratios: tuple[int, ...]
    all_phases: bool
    against_dense: bool
    rule: "Rule"


def sweep(
    context: typer.Context,
    input: Annotated[  # noqa: A002 - the request's own word
        str, Argument(help="A dense z-stack: OME-TIFF, TIFF, OME-Zarr or ND2.")
    ],
    truth: Truth = None,
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
            help="There is no truth: tell how much the prediction itself changes.",
        ),
    ] = False,
    keep: Annotated[
        float | None,
        Option(help="Share of the densest stack's R² to keep; 0.95 if left out."),
    ] = None,
    tolerance: Annotated[
        float | None, Option(min=0, help="Instead of --keep: R² that may be lost.")
    ] = None,
    channel: Channel = None,
    scene: Scene = None,
    time: Annotated[
        int | None, Option(min=0, help="Time point; the first if left out.")
    ] = None,
    model: ModelName = "default",
    topology: Topology = None,
    structures: Annotated[
        str, Option(help="Names, parted by commas; all that have a truth.")
    ] = "all",
    voxel_size: VoxelSize = None,
    device: Device = "auto",
    precision: Precision = "auto",
    tile: TileSize = None,
    overlap: Overlap = None,
    memory_limit: MemoryLimit = None,
    tta: Turns = False,
    mask_invalid: MaskInvalid = False,
    overwrite: Annotated[
        bool, Option("--overwrite", help="Replace an earlier sweep's files.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """Tell how R² falls as planes of a dense stack are left out.

    Every r-th plane is kept, the rest is never looked at. Scores are against a truth;
    with --against-dense, against the model's own prediction from all planes, which
    says nothing of whether that one is right. Ctrl-C keeps the ratios that are done.
    """
    console = console_of(context)
    asked = make_request(request_fields(options_given(context)))
    rule = _rule(keep, tolerance)
    job = _Job(out, whole_ratios(ratios), all_phases, against_dense, rule)
    _check_out(out, overwrite)
    _sweep(console, asked, job)
    if out is not None:
        for name in (SCORES, FIGURE, PAGE):
            console.result(str((out / name).resolve()))


def whole_ratios(text: str) -> tuple[int, ...]:
    """Read ``1,2,4,8``.

    Raises
    ------
    InputError
        These are not whole numbers of at least 1.
    """
    try:
        values = tuple(int(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or min(values) < 1:
        raise InputError(
            f"--ratios {text!r} cannot be used; write whole numbers of at least 1, "
            "for example 1,2,4,8"
        )
    return values


def _rule(keep: float | None, tolerance: float | None) -> "Rule":
    """Choose what counts as enough."""
    from napari_sparsessp.evaluation.sampling_advice import KeepShare, LoseAtMost

    if keep is not None and tolerance is not None:
        raise InputError(
            "--keep and --tolerance both say what is enough; leave one of them out"
        )
    if tolerance is not None:
        return LoseAtMost(tolerance)
    return KeepShare() if keep is None else KeepShare(keep)


def _check_out(out: Path | None, overwrite: bool) -> None:
    """Refuse what could not be written at the end."""
    if out is None or not out.exists():
        return
    if not out.is_dir():
        raise OutputError(f"{out} is a file; give a folder with --out")
    for name in (SCORES, FIGURE, PAGE):
        check_report_path(out / name, overwrite)


def _sweep(console: Console, asked: "PredictionRequest", job: _Job) -> None:
    from napari_sparsessp.evaluation.html import SweepResults

    from napari_sparsessp.evaluation.sweep import plan_sweep, run_sweep
    from napari_sparsessp.io.reading import load_volume
    from napari_sparsessp.models.library import read_card

    card = read_card(asked.model, asked.topology)
    console.progress(f"opening {asked.input}")
    volume = load_volume(asked.input, scene=asked.scene, need_channel=False)
    stack = _one_stack(console, volume, asked)
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
    console.progress("loading the model")

    from napari_sparsessp.models.library import load_model

    loaded = load_model(asked.model, asked.topology)
    try:
        for result, prediction in run_sweep(loaded, runs, _teller(console)):
            findings.add(result, prediction)
            if job.out is not None:
                write_report(job.out / SCORES, findings.report(job.rule).to_json())
    finally:
        # Also after Ctrl-C and errors: what was measured is told and kept.
        if findings.results:
            _tell(console, findings, job)


def _one_stack(
    console: Console, volume: "Volume", asked: "PredictionRequest"
) -> "Volume":
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
    asked: "PredictionRequest", card: "ModelCard", volume: "Volume"
) -> "dict[str, Volume]":
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
    times = {name: one.sizes.get("T", 1) for name, one in truth.items()}
    for name, count in times.items():
        if count not in (1, volume.sizes.get("T", 1)):
            raise InputError(
                f"the truth of {name} has {count} time points, the input "
                f"{volume.sizes.get('T', 1)}; give as many"
            )
    return {
        name: one.time(int(asked.time or 0) if times[name] > 1 else 0)
        for name, one in truth.items()
    }


def _teller(console: Console) -> Progress:
    time_left = TimeLeft()

    def show(done: float, total: float | None = None, what: str = "") -> None:
        assert total is not None
        seconds = time_left(done / total)
        left = "" if seconds is None else f", {clock(seconds)} left"
        console.progress(
            f"{what}: tile {done:.0f} of {total:.0f}{left}", last=done == total
        )

    return show


def _tell(console: Console, findings: "SweepResults", job: _Job) -> None:
    report = findings.report(job.rule)
    if job.out is not None:
        _write(findings, report, job)
    console.result(sweep_table(report))
    if not report.finished:
        asked = sorted({run.ratio for run in findings.runs})
        done = ", ".join(str(one.ratio) for one in report.ratios)
        console.warning(
            f"stopped early: of the ratios {', '.join(map(str, asked))} these are done "
            f"and kept: {done}"
        )
    console.result(report.answer)


def _write(findings: "SweepResults", report: "SweepReport", job: _Job) -> None:
    from napari_sparsessp.evaluation.figures import sweep_figure, write_figure

    assert job.out is not None
    write_report(job.out / SCORES, report.to_json())
    write_figure(sweep_figure(report), job.out / FIGURE)
    findings.write_page(job.out / PAGE, job.rule)
