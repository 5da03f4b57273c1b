"""`sparsessp predict` gives the numbers that Python gives."""

import json

import numpy as np
import pytest

from images import a_stack, write_stack
from napari_sparsessp import load_volume
from napari_sparsessp.models.library import load_model
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.request import PredictionRequest

SPARSE = (1.16, 0.35, 0.25)


@pytest.fixture
def both(sparsessp, small_model, tmp_path):
    """Predict on the command line and in Python: (numbers, report) of each."""

    def run(path, options, **fields):
        out, told = tmp_path / "out.ome.zarr", tmp_path / "report.json"
        code, _, err = sparsessp(
            *("predict", path, "--model", small_model, "--out", out),
            *("--device", "cpu", "--precision", "fp32", "--report", told, *options),
        )
        assert code == 0, err
        request = PredictionRequest(device="cpu", precision="fp32", **fields)
        result = predict(load_model(small_model), load_volume(path), request=request)
        reports = json.loads(told.read_text()), json.loads(result.report.to_json())
        return (load_volume(out).numpy(), result.volume.numpy()), reports

    return run


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ([], {}),
        (["--tile", "8,16,16"], {"tile": (8, 16, 16)}),
        (["--grid", "input"], {"grid": "input"}),
        (["--normalisation", "2000,900.5"], {"normalisation": (2000, 900.5)}),
        (["--normalisation=-5,3e3"], {"normalisation": (-5, 3000)}),
    ],
)
def test_the_command_line_gives_the_numbers_that_python_gives(
    both, tmp_path, options, fields
):
    array = np.stack([a_stack(5, 50, seed=seed) for seed in (1, 2)])
    path = write_stack(tmp_path / "in.ome.tif", array, "TZYX", SPARSE)
    numbers, reports = both(path, options, **fields)
    spread = numbers[1].std()
    np.testing.assert_allclose(*numbers, atol=1e-5 * spread)
    scales = [one["normalisation"] for one in reports]
    assert scales[0] == scales[1]
    if "normalisation" in fields:
        mean, std = fields["normalisation"]
        assert scales[0] == [{"mean": mean, "std": std, "left_out": []}] * 2


def test_the_file_keeps_the_scale_and_the_planes_that_took_no_part(
    both, sparsessp, small_model, tmp_path
):
    array = a_stack(6, 40)
    array[4] = 0
    path = write_stack(tmp_path / "in.ome.tif", array)
    _, reports = both(path, [])
    for report in reports:
        (scale,) = report["normalisation"]
        assert scale["left_out"] == [4]
        assert any("plane 4 is empty" in text for text in report["warnings"])


def test_a_saved_request_carries_the_scale(both, tmp_path):
    path = write_stack(tmp_path / "in.ome.tif", a_stack(6, 40))
    saved = tmp_path / "request.yaml"
    saved.write_text("normalisation: [2000, 900]\n")
    numbers, reports = both(path, ["--request", saved], normalisation=(2000, 900))
    np.testing.assert_allclose(*numbers, atol=1e-5)
    assert reports[0]["request"]["normalisation"] == [2000, 900]
