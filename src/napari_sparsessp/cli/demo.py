"""``sparsessp demo``: the main job on the bundled sample, and where its results lie."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from napari_sparsessp.cli.console import Console
from napari_sparsessp.cli.options import Debug, Quiet, Version, console_of
from napari_sparsessp.cli.report_file import make_folder, write_report
from napari_sparsessp.cli.running import Outcome, run
from napari_sparsessp.cli.table import score_table
from napari_sparsessp.cli.viewing import (
    Sight,
    has_display,
    open_window,
    take_screenshot,
)
from napari_sparsessp.errors import OutputError, SparseSSPError
from napari_sparsessp.volume import Volume

PREDICTION = "prediction.ome.zarr"
REPORT = "report.json"
FIGURE = "figure.png"
SCREENSHOT = "napari.png"


def demo(
    context: typer.Context,
    out: Annotated[Path, Option("--out", "-o", help="Folder for the results.")] = Path(
        "sparsessp-demo"
    ),
    gui: Annotated[
        bool,
        Option(
            help="Show the result in napari: a window, or a screenshot without display."
        ),
    ] = True,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """Predict the bundled sparse colony, score it and show it."""
    from napari_sparsessp.io.samples import sample_paths

    console = console_of(context)
    make_folder(out)
    sparse, truth = sample_paths()
    _check_own(out, sparse)
    outcome = _predict_sample(console, sparse, truth, out)
    console.result(score_table(outcome.report.structures))
    lies = {
        "input": sparse,
        "truth": truth,
        "prediction": out / PREDICTION,
        "report": out / REPORT,
        "figure": out / FIGURE,
    }
    sight = Sight(sparse, out / PREDICTION, truth, out / SCREENSHOT)
    if gui and not has_display() and take_screenshot(console, sight):
        lies["screenshot"] = out / SCREENSHOT
    console.result("")
    for name, path in lies.items():
        console.result(f"{name:<11}{path.resolve()}")
    console.note("The shipped model was trained on simulated cells: see the README.")
    if gui and has_display():
        open_window(console, sight)


def _predict_sample(
    console: Console, sparse: Path, truth_path: Path, out: Path
) -> Outcome:
    from napari_sparsessp.evaluation.figures import prediction_figure, write_figure

    from napari_sparsessp.io.reading import load_volume
    from napari_sparsessp.io.writing import write_prediction
    from napari_sparsessp.models.library import read_card
    from napari_sparsessp.prediction.request import PredictionRequest

    card = read_card()
    volume = load_volume(sparse)
    truth = _channels(load_volume(truth_path), card.structures)
    request = PredictionRequest(
        input=str(sparse),
        truth={name: f"{truth_path}:{name}" for name in truth},
    )
    outcome = run(console, request, card, volume, truth)
    assert outcome.volume is not None, "no sink has taken it"
    write_prediction(
        out / PREDICTION,
        outcome.volume,
        outcome.volume.channel_names,
        outcome.report.provenance(),
        overwrite=True,
    )
    write_report(out / REPORT, outcome.report.to_json())
    predicted = _channels(outcome.volume, outcome.volume.channel_names)
    figure = prediction_figure(volume, predicted, truth, outcome.report)
    write_figure(figure, out / FIGURE)
    return outcome


def _channels(volume: Volume, structures: tuple[str, ...]) -> dict[str, Volume]:
    return {
        name: volume.channel(name)
        for name in volume.channel_names
        if name in structures
    }


def _check_own(out: Path, sparse: Path) -> None:
    """Replace an earlier demo's files, never anybody else's."""
    from napari_sparsessp.io.writing import read_provenance

    names = (PREDICTION, REPORT, FIGURE, SCREENSHOT)
    there = [name for name in names if (out / name).exists()]
    if not there:
        return
    try:
        about = read_provenance(out / PREDICTION) or {}
    except SparseSSPError:
        about = {}
    if Path(str(about.get("input", ""))).name != sparse.name:
        raise OutputError(
            f"{out} holds {there[0]}, which no demo has written; choose another "
            "folder with --out"
        )
