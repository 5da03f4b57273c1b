"""`sparsessp predict`: deviations in the file, and warnings before the first tile."""

import json
import shutil

import numpy as np
import pytest
import tifffile

from napari_sparsessp import load_volume
from napari_sparsessp.io.writing import read_provenance
from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.models.library import load_model, save_model

CPU = ("--device", "cpu", "--precision", "fp32", "--ratio", 1)


@pytest.fixture
def made(sparsessp, small_model, stack, tmp_path):
    """`made(name, *options, model=…)`: predict; standard error and the file."""

    def run(name, *options, model=small_model):
        out = tmp_path / name
        code, _, err = sparsessp(
            "predict", stack, "--model", model, "--out", out, *CPU, *options
        )
        assert code == 0, err
        return err, out

    return run


@pytest.mark.parametrize("ending", ["ome.tif", "ome.zarr"])
def test_each_structure_gets_a_deviation_as_a_channel(made, stack, ending):
    report = stack.parent / "report.json"
    truth = f"dna={stack}:0"
    err, out = made(
        f"a.{ending}", "--uncertainty", "--report", report, "--truth", truth
    )
    volume = load_volume(out)
    assert volume.channel_names == (
        "dna", "golgi_apparatus", "dna_std", "golgi_apparatus_std"
    )  # fmt: skip
    plain = load_volume(made(f"b.{ending}")[1]).numpy()
    np.testing.assert_array_equal(volume.numpy()[:2], plain)
    assert (volume.numpy()[2:] >= 0).all()
    said = json.loads(report.read_text())
    assert said["request"]["uncertainty"]
    assert set(said["structures"]) == {"dna"}
    assert 0 <= said["structures"]["dna"]["within_std"] <= 1
    assert "bare spread" in err


def test_deviations_are_grey_and_structures_are_not(made):
    out = made("a.ome.tif", "--uncertainty")[1]
    with tifffile.TiffFile(out) as file:
        channels = tifffile.xml2dict(file.ome_metadata)
    pixels = channels["OME"]["Image"]["Pixels"]["Channel"]
    colours = [one["Color"] & 0xFFFFFFFF for one in pixels]
    red, green, blue = ((colours[2] >> shift) & 255 for shift in (24, 16, 8))
    assert red == green == blue
    assert colours[2] == colours[3]
    assert len(set(colours)) == 3


def test_turns_change_the_numbers_and_the_record(made):
    plain, turned = (made(*one)[1] for one in (["a.ome.tif"], ["b.ome.tif", "--tta"]))
    one, other = (load_volume(path).numpy() for path in (plain, turned))
    assert one.shape == other.shape
    assert np.abs(one - other).max() > 0
    assert read_provenance(turned)["request"]["tta"]


def test_what_is_unfamiliar_is_told_before_the_first_tile_and_in_every_record(
    made, small_model, tmp_path
):
    model = load_model(small_model)
    card = ModelCard.model_validate(
        model.card.model_dump(by_alias=True)
        | {"familiarity": {"fine": [{"low": -9, "high": -8}]}}
    )
    path = save_model(tmp_path / "knows.safetensors", model.network, card)
    report = tmp_path / "report.json"
    err, out = made("a.ome.tif", "--report", report, model=path)
    assert err.index("expect invented structures") < err.index("tile 1 of")
    assert err.count("expect invented structures") == 1
    said = json.loads(report.read_text())
    assert len(said["unfamiliar"]) == 1
    assert said["unfamiliar"][0] in said["warnings"]
    assert read_provenance(out)["unfamiliar"] == said["unfamiliar"]


def test_a_saved_request_may_ask_for_deviations(sparsessp, small_model, stack):
    folder = stack.parent
    request = folder / "request.yaml"
    request.write_text("uncertainty: true\ntta: true\nratio: 1\n")
    shutil.copy(stack, folder / "other.ome.tif")
    code, _, err = sparsessp(
        "predict", folder / "other.ome.tif", "--request", request, "--model",
        small_model, "--out", folder / "out.ome.tif", "--device", "cpu",
    )  # fmt: skip
    assert code == 0, err
    assert len(load_volume(folder / "out.ome.tif").channel_names) == 4
