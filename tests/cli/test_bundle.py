"""A bundle on the command line: one row, all its members behind it."""

import json
import signal

import numpy as np
import pytest

from bundled import make
from napari_sparsessp.cli import predict
from napari_sparsessp.io.reading import load_volume

TILE = ("--tile", "8,32,32", "--device", "cpu", "--precision", "fp32")


@pytest.fixture
def bundle(tmp_path):
    return make(tmp_path / "members")


def test_it_is_listed_shown_and_verified_as_one(sparsessp, bundle):
    code, out, _ = sparsessp("models", "list", "--quiet")
    (row,) = (line for line in out.splitlines() if "several" in line)
    assert code == 0
    assert "4 structures, bundle of 3" in row
    assert row.endswith(str(bundle))
    _, out, _ = sparsessp("models", "show", "several")
    for fact in ("3to2d, bundle of 3", "thin-1: mitochondria from bright-field"):
        assert fact in out
    _, out, _ = sparsessp("models", "show", "several", "--json")
    assert len(json.loads(out)["members"]) == 3
    code, out, _ = sparsessp("models", "verify", "several", "--quiet")
    assert (code, out[:7]) == (0, "ok     ")


def test_an_exported_bundle_is_imported_again(sparsessp, refused, bundle, tmp_path):
    out = tmp_path / "given"
    assert sparsessp("models", "export", "several", "--out", out)[0] == 0
    assert "installed already" in refused("models", "import", out)
    code, said, _ = sparsessp("models", "import", out, "--id", "mine", "--name", "Mine")
    assert code == 0
    assert "Mine" in said
    shown = json.loads(sparsessp("models", "show", "mine", "--json")[1])
    assert (shown["id"], shown["name"]) == ("mine", "Mine")
    assert "has a card" in refused("models", "import", out, "--scaling", "none")


def test_what_needs_one_network_says_which_files_to_name(refused, bundle, tmp_path):
    np.save(tmp_path / "planes.npy", np.zeros((8, 16, 16), np.float32))
    line = refused("models", "run", "several", "--input", tmp_path / "planes.npy",
                   "--out", tmp_path / "out.npy")  # fmt: skip
    assert "bundle of several networks" in line


def test_it_predicts_goes_on_and_reports_its_members(
    sparsessp, bundle, stack, tmp_path, monkeypatch
):
    report = tmp_path / "report.json"
    words = ("predict", stack, "--model", "several", *TILE, "--report", report)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def press(tile):
        if tile.done == 6:
            signal.raise_signal(signal.SIGINT)
        return ""

    with monkeypatch.context() as patch:
        patch.setattr(predict, "_running_scores", press)
        code, _, err = sparsessp(*words, "--out", tmp_path / "out.ome.tif")
    signal.signal(signal.SIGINT, before)
    assert code == 130
    assert "6 of 12 tiles are done and kept" in err
    code, _, err = sparsessp(*words, "--out", tmp_path / "out.ome.tif", "--resume")
    assert code == 0, err
    assert "6 tiles are done already" in err
    said = json.loads(report.read_text())
    assert said["model"]["id"] == "several"
    assert [one["structures"] for one in said["members"]] == [
        ["dna", "tight_junction"],
        ["mitochondria"],
        ["nucleolus"],
    ]
    predicted = load_volume(tmp_path / "out.ome.tif")
    assert predicted.channel_names == (
        *("dna", "tight_junction", "mitochondria", "nucleolus"),
    )
    assert sparsessp(*words, "--out", tmp_path / "whole.ome.tif", "--overwrite")[0] == 0
    whole = load_volume(tmp_path / "whole.ome.tif").numpy()
    np.testing.assert_array_equal(predicted.numpy(), whole)
