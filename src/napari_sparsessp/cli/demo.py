"""``sparsessp demo``: predict the bundled sample, score it and show it in napari."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from napari_sparsessp.cli.console import Console, make_folder, score_rows, write_report
from napari_sparsessp.cli.options import console_of
from napari_sparsessp.cli.predict import Outcome, run_request
from napari_sparsessp.errors import OutputError, SparseSSPError

if TYPE_CHECKING:
    from napari_sparsessp.volume import Volume

PREDICTION = "prediction.ome.zarr"
REPORT = "report.json"
FIGURE = "figure.png"
SCREENSHOT = "napari.png"

VIEWER = [sys.executable, "-m", "napari_sparsessp.ui.show"]

SECONDS_FOR_A_SCREENSHOT = 300
"""A first start compiles fonts and shaders; on a loaded machine that takes a while."""


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
) -> None:
    """Predict the bundled sparse colony, score it and show it."""
    from napari_sparsessp.io.samples import sample_paths

    console = console_of(context)
    make_folder(out)
    sparse, truth = sample_paths()
    _check_own(out, sparse)
    outcome = _predict_sample(console, sparse, truth, out)
    console.table(score_rows(outcome.report.structures))
    paths = {
        "input": sparse,
        "truth": truth,
        "prediction": out / PREDICTION,
        "report": out / REPORT,
        "figure": out / FIGURE,
    }
    shown = (sparse, out / PREDICTION, truth)
    if gui and not has_display():
        show_in_napari(console, shown, out / SCREENSHOT)
        if (out / SCREENSHOT).exists():
            paths["screenshot"] = out / SCREENSHOT
    console.result("")
    for name, path in paths.items():
        console.result(f"{name:<11}{path.resolve()}")
    console.note("The shipped model was trained on simulated cells: see the README.")
    if gui and has_display():
        show_in_napari(console, shown)


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
        input=str(sparse), truth={name: f"{truth_path}:{name}" for name in truth}
    )
    outcome = run_request(console, request, card, volume, truth)
    assert outcome.volume is not None, "no sink has taken it"
    names = outcome.volume.channel_names
    provenance = outcome.report.provenance()
    write_prediction(
        out / PREDICTION, outcome.volume, names, provenance, overwrite=True
    )
    write_report(out / REPORT, outcome.report.to_json())
    predicted = _channels(outcome.volume, names)
    figure = prediction_figure(volume, predicted, truth, outcome.report)
    write_figure(figure, out / FIGURE)
    return outcome


def _channels(volume: "Volume", structures: tuple[str, ...]) -> "dict[str, Volume]":
    names = (name for name in volume.channel_names if name in structures)
    return {name: volume.channel(name) for name in names}


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


def has_display() -> bool:
    """Return whether a window would appear somewhere."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show_in_napari(
    console: Console, paths: tuple[Path, ...], screenshot: Path | None = None
) -> None:
    """Open the files in napari, in its own process: this one must not import it."""
    if find_spec("napari") is None:
        console.note(
            "napari is not installed, so nothing is shown; install napari[pyqt6]"
        )
        return
    command, limit = [*VIEWER, *map(str, paths)], None
    if screenshot is None:
        console.note("opening napari; close its window to end")
    else:
        xvfb = shutil.which("xvfb-run")
        if xvfb is None:
            console.note(
                "there is no display; install xvfb to get a screenshot of napari"
            )
            return
        console.note("no display: taking a screenshot of napari instead")
        virtual = [xvfb, "-a", "-s", "-screen 0 1600x1000x24"]
        command = [*virtual, *command, "--screenshot", str(screenshot)]
        limit = SECONDS_FOR_A_SCREENSHOT
        screenshot.unlink(missing_ok=True)
    silent = None if console.debug else subprocess.PIPE
    try:
        done = subprocess.run(
            command, timeout=limit, stdout=silent, stderr=silent, text=True, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        console.warning(f"napari could not be shown: {error}")
        return
    if done.returncode:
        lines = (done.stderr or "").strip().splitlines()
        console.warning(
            f"napari could not be shown: {lines[-1] if lines else 'it gave no reason'};"
            " see sparsessp demo --debug"
        )
