"""A request, written as a command or as YAML, is the same request when it is read."""

import shlex

import pytest
import typer
from typer.main import get_command

from napari_sparsessp.cli.options import make_request, read_request, request_of
from napari_sparsessp.cli.predict import predict
from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction.command_line import (
    command_of,
    request_text,
    shell_text,
)
from napari_sparsessp.prediction.request import PredictionRequest

REQUESTS = [
    {"input": "stack.ome.tif"},
    {"input": "a b/it's; rm -rf.tif", "structures": ("dna", "my_own")},
    {"input": "-odd.tif", "model": "other", "channel": 1, "scene": 2, "time": "0:3"},
    {
        "input": "s.tif",
        "channel": "Bright-field",
        "voxel_size": (1.16, 0.1 + 0.2, 1e-1),
    },
    {"input": "s.tif", "ratio": 4.5, "simulate_sparse": True, "tta": True},
    {"input": "s.tif", "uncertainty": True, "device": "cpu", "precision": "fp32"},
    {"input": "s.tif", "memory_limit": 123456789, "tile": (8, 32, 32), "overlap": 0.25},
    {"input": "s.tif", "normalisation": (-5.5, 3e3), "mask_invalid": True},
    {
        "input": "s.tif",
        "reconstruct": "phase",
        "na": 1.25,
        "na_condenser": 0.5,
        "wavelength": 0.6,
        "index": 1.33,
        "planes_downwards": True,
        "regularisation": 1e-3,
    },
    {
        "input": "s.tif",
        "grid": "input",
        "truth": {"dna": "t.tif:1", "tom20": "b c.tif"},
    },
]


def read_back(words):
    """What `sparsessp predict` understands, without running it."""
    app = typer.Typer()
    app.command()(predict)
    context = get_command(app).make_context("predict", list(words[2:]))
    return request_of(context)


@pytest.mark.parametrize("fields", REQUESTS)
def test_the_command_means_the_request(fields):
    request = PredictionRequest(**fields)
    words = shlex.split(shell_text(command_of(request, "out.ome.tif"), "linux"))
    assert words[:2] == ["sparsessp", "predict"]
    assert words[-2:] == ["--out", "out.ome.tif"]
    back = read_back(words)
    path = back.input.removeprefix("./")
    assert back.model_copy(update={"input": path}) == request


@pytest.mark.parametrize("fields", [*REQUESTS, {"input": "s.tif", "phase": 2}])
def test_the_file_means_the_request(tmp_path, fields):
    request = PredictionRequest(**fields)
    path = tmp_path / "request.yaml"
    path.write_text(request_text(request), encoding="utf-8")
    assert make_request(read_request(path)) == request


def test_defaults_are_left_out():
    words = command_of(PredictionRequest(input="s.tif"), "o.ome.zarr")
    assert words == ["sparsessp", "predict", "s.tif", "--out", "o.ome.zarr"]


def test_windows_has_quotes_of_its_own():
    words = command_of(PredictionRequest(input=r"C:\my data\s.tif"), "o.ome.tif")
    assert '"C:\\my data\\s.tif"' in shell_text(words, "win32")


def test_what_has_no_option_is_told():
    with pytest.raises(InputError, match="--request"):
        command_of(PredictionRequest(input="s.tif", phase=1), "o.ome.tif")
