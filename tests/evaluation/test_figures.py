"""Figures: drawn for any mix of truths and scores, never half written."""

import numpy as np
import pytest

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.evaluation.agreement import ComparisonReport
from napari_sparsessp.evaluation.figures import (
    comparison_figure,
    prediction_figure,
    sweep_figure,
    write_figure,
)
from napari_sparsessp.prediction.report import ModelId, Report, Scaling, Seconds, Shapes
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume
from scored import comparison, scored
from swept import report_of

CUBE = (0.29, 0.29, 0.29)


@pytest.fixture
def run():
    """(transmitted, prediction, truth, report) of a made-up run."""
    rng = np.random.default_rng(0)

    def stack(depth=8):
        return Volume(rng.normal(size=(depth, 20, 24)), "ZYX", CUBE)

    prediction = {name: stack() for name in ("dna", "golgi_apparatus", "dapi")}
    prediction["dapi"].array[3] = np.nan
    report = Report(
        package="0",
        model=ModelId(id="m", sha256="0"),
        input="x",
        request=PredictionRequest(),
        ratio=4,
        measured_planes=(0, 4),
        shape=Shapes(input=(2, 20, 24), output=(3, 8, 20, 24)),
        voxel_size=CUBE,
        origin=(0, 0, 0),
        device="cpu",
        precision="fp32",
        seconds=Seconds(load=0, first_tile=0, total=0),
        peak_memory_mb=1,
        tiles=1,
        normalisation=(Scaling(mean=0, std=1),),
        structures={"dna": {"r2": 0.5, "r2_per_plane": [0.1, None] * 4}},
        warnings=(),
    )
    transmitted = Volume(rng.normal(size=(2, 20, 24)), "ZYX", (1.16, 0.29, 0.29))
    return transmitted, prediction, {"dna": stack()}, report


def test_figure_has_a_row_for_every_three_structures(run):
    """More structures, a taller figure."""
    transmitted, prediction, truth, report = run
    few = prediction_figure(*run)
    many = {f"s{index}": prediction["dna"] for index in range(9)}
    tall = prediction_figure(transmitted, many, truth, report)
    assert tall.get_size_inches()[1] > 1.5 * few.get_size_inches()[1]


@pytest.mark.parametrize("name", ["no/figure.png", "figure.docx"])
def test_a_place_that_cannot_be_written_is_one_clear_error(run, tmp_path, name):
    """No traceback from matplotlib, and nothing is left behind."""
    with pytest.raises(OutputError, match="cannot write figure"):
        write_figure(prediction_figure(*run), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_a_figure_is_what_its_ending_says(run, tmp_path, ending, start):
    """With and without truth, with masked voxels."""
    paths = [tmp_path / f"{name}.{ending}" for name in ("a b", "c")]
    write_figure(comparison_figure(comparison(), 1), paths[0])
    write_figure(prediction_figure(*run), paths[1])
    for path in paths:
        assert path.read_bytes().startswith(start)
    assert sorted(tmp_path.iterdir()) == paths


def test_a_figure_of_a_single_plane_needs_no_input_but_scores(tmp_path):
    report = ComparisonReport((scored(depth=1),), "s", "m")
    path = write_figure(comparison_figure(report, 0), tmp_path / "a.png")
    assert path.stat().st_size > 1000
    with pytest.raises(InputError, match="nothing is scored"):
        comparison_figure(ComparisonReport((), "s", "m"), 0)


@pytest.mark.parametrize("value", [0.5, None, -3.0])
def test_a_sweep_can_be_drawn_whatever_the_scores(value, tmp_path):
    figure = sweep_figure(report_of({"dna": (value, value)}, trivial=value))
    assert write_figure(figure, tmp_path / "sweep.png").stat().st_size > 1000


def test_the_curve_of_a_sweep_stands_beside_its_references():
    report = report_of({"dna": (0.6, 0.5)})
    ceiling = {"r2": 0.8, "pcc": 0.9, "pcc_plane": None}
    baselines = report.baselines.model_copy(update={"ceiling": {"dna": ceiling}})
    report = report.model_copy(update={"baselines": baselines})
    axes = sweep_figure(report).axes[0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["DNA", "noise ceiling", "the input itself"]
