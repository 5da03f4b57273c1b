"""The figure of a run: drawn for any mix of truths, never half written."""

import numpy as np
import pytest

from napari_sparsessp.errors import OutputError
from napari_sparsessp.evaluation.panel import figure
from napari_sparsessp.prediction.report import (
    ModelId,
    Report,
    Scaling,
    Seconds,
    Shapes,
)
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume

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


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_figure_is_written_whole(run, tmp_path, ending):
    """With and without truth, with masked voxels."""
    path = figure(tmp_path / f"a b.{ending}", *run)
    assert path.stat().st_size > 10_000
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_figure_has_a_row_for_every_three_structures(run, tmp_path):
    """More structures, a taller figure."""
    from PIL import Image

    transmitted, prediction, truth, report = run
    few = figure(tmp_path / "few.png", *run)
    many = {f"s{index}": prediction["dna"] for index in range(9)}
    tall = figure(tmp_path / "many.png", transmitted, many, truth, report)
    with Image.open(few) as one, Image.open(tall) as other:
        assert other.height > 1.5 * one.height


def test_a_folder_that_is_not_there_is_one_clear_error(run, tmp_path):
    """No traceback from matplotlib."""
    with pytest.raises(OutputError, match="cannot write figure"):
        figure(tmp_path / "no" / "figure.png", *run)


def test_an_unknown_ending_is_one_clear_error(run, tmp_path):
    """And nothing is left behind."""
    with pytest.raises(OutputError, match="cannot write figure"):
        figure(tmp_path / "figure.docx", *run)
    assert not list(tmp_path.iterdir())
