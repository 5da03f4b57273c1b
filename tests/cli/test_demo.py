"""The demo with the shipped model; slow parts run once."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from napari_sparsessp import load_volume
from napari_sparsessp.cli import demo
from napari_sparsessp.cli.console import Console
from napari_sparsessp.io.samples import sample_paths
from napari_sparsessp.io.writing import write_prediction
from napari_sparsessp.volume import Volume


@pytest.fixture
def earlier(tmp_path):
    """What an earlier demo has left, as far as a later one looks at it."""
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "report.json").write_text("earlier")
    volume = Volume(np.zeros((1, 2, 4, 4), np.float32), "CZYX", None)
    told = {"input": str(sample_paths()[0])}
    write_prediction(folder / "prediction.ome.zarr", volume, ["dna"], told)
    return folder


def test_the_demo_predicts_the_sample_and_tells_where_everything_lies(
    sparsessp, earlier, tmp_path
):
    """In the place of an earlier one."""
    code, out, err = sparsessp("demo", "--out", earlier, "--no-gui")
    assert code == 0, err
    assert "R²" in out
    assert "simulated cells" in err
    for name in ("prediction.ome.zarr", "report.json", "figure.png"):
        assert str(tmp_path / "demo" / name) in out
        assert (tmp_path / "demo" / name).exists()
    report = json.loads((tmp_path / "demo" / "report.json").read_text())
    volume = load_volume(tmp_path / "demo" / "prediction.ome.zarr")
    assert report["shape"]["output"] == list(volume.shape)
    assert report["ratio"] == 4
    assert set(report["structures"]) == set(volume.channel_names)
    for structure in volume.channel_names:
        assert structure in out


def test_a_folder_that_cannot_be_made_is_one_line(refused, tmp_path):
    (tmp_path / "file").write_text("")
    assert "--out" in refused("demo", "--no-gui", "--out", tmp_path / "file" / "demo")


@pytest.mark.parametrize("missing", ["napari", "xvfb"])
def test_the_demo_goes_on_where_nothing_can_be_shown(
    tmp_path, monkeypatch, capsys, missing
):
    monkeypatch.setattr(demo, "find_spec", lambda _: missing == "xvfb" or None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    demo.show_in_napari(Console(), (), tmp_path / "shot.png")
    assert f"install {missing}" in capsys.readouterr().err


def test_a_viewer_that_fails_is_a_warning(monkeypatch, capsys):
    failing = [sys.executable, "-c", "raise SystemExit('no OpenGL')"]
    monkeypatch.setattr(demo, "VIEWER", failing)
    monkeypatch.setattr(demo, "find_spec", lambda _: True)
    demo.show_in_napari(Console(), ())
    assert "warning: napari could not be shown: no OpenGL" in capsys.readouterr().err


@pytest.mark.viewer
@pytest.mark.slow
def test_the_screenshot_shows_the_result(tmp_path):
    """Slow: predicts, and starts napari in a process of its own."""
    pytest.importorskip("napari")
    if shutil.which("xvfb-run") is None:
        pytest.skip("no xvfb-run")
    code = (
        "import os; os.environ.pop('DISPLAY', None);"
        "from napari_sparsessp.cli.main import app_main; app_main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "demo", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "napari.png").stat().st_size > 20_000, done.stderr


def test_files_of_others_are_never_replaced(refused, tmp_path):
    (tmp_path / "report.json").write_text("mine")
    assert "report.json" in refused("demo", "--no-gui", "--out", tmp_path)
    assert (tmp_path / "report.json").read_text() == "mine"
