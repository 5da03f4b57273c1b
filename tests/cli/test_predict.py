"""`sparsessp predict`: what it writes, and one clear line for each bad input."""

import json

import numpy as np
import pytest
import tifffile

from images import STEP, a_stack, write_stack
from napari_sparsessp import load_volume
from napari_sparsessp.io.writing import read_provenance
from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.models.library import load_model, save_model
from napari_sparsessp.prediction.engine import predict as predict_in_python
from napari_sparsessp.prediction.request import PredictionRequest


@pytest.fixture
def predict(sparsessp, small_model, tmp_path):
    """Predict on one CPU in fp32 into `out.ome.tif`; must succeed."""

    def run(*arguments, out="out.ome.tif", model=small_model):
        code, said, err = sparsessp(
            *("predict", *arguments, "--model", model, "--out", tmp_path / out),
            *("--device", "cpu", "--precision", "fp32"),
        )
        assert code == 0, err
        return said, err

    return run


@pytest.fixture
def bad(refused, small_model, tmp_path):
    """Predict; must be refused, and must leave no file behind."""

    def run(*arguments):
        before = set(tmp_path.rglob("*"))
        line = refused(
            *("predict", "--model", small_model, "--out", tmp_path / "out.ome.tif"),
            *("--device", "cpu", *arguments),
        )
        assert set(tmp_path.rglob("*")) == before
        return line

    return run


def test_phase_is_made_first_and_recorded(predict, bad, stack, tmp_path):
    optics = ("--na", 0.8, "--na-condenser", 0.4, "--wavelength", 0.6, "--index", 1.33)
    assert "(--index)" in bad(stack, "--reconstruct", "phase", *optics[:-2])
    assert "0.6" in bad(stack, "--reconstruct", "phase", *optics, "--wavelength", 600)
    _, err = predict(stack, "--reconstruct", "phase", *optics)
    assert "learned from bright-field" in err  # As the small model has
    asked = read_provenance(tmp_path / "out.ome.tif")["request"]
    assert (asked["reconstruct"], asked["na_condenser"]) == ("phase", 0.4)


def test_a_stack_becomes_a_channel_for_each_structure(predict, stack, tmp_path):
    said, err = predict(stack, "--ratio", 1)
    volume = load_volume(tmp_path / "out.ome.tif")
    assert volume.axes == "CZYX"
    assert volume.shape == (2, 8, 40, 40)
    assert volume.channel_names == ("dna", "golgi_apparatus")
    assert volume.voxel_size == pytest.approx((STEP,) * 3)
    assert volume.numpy().dtype == np.float32
    assert np.isfinite(volume.numpy()).all()
    assert "out.ome.tif" in said
    assert "tile" in err


def test_a_ratio_fills_the_planes_between(predict, tmp_path):
    """In both file formats, with the same numbers."""
    sparse = write_stack(
        tmp_path / "sparse.ome.tif", a_stack(3), voxel_size=(4 * STEP, STEP, STEP)
    )
    predict(sparse, "--report", tmp_path / "r.json")
    predict(sparse, out="out.ome.zarr")
    tif, zarr = (load_volume(tmp_path / f"out.ome.{end}") for end in ("tif", "zarr"))
    assert np.array_equal(tif.numpy(), zarr.numpy())
    assert tif.voxel_size == pytest.approx(zarr.voxel_size)
    assert tif.channel_names == zarr.channel_names
    assert tif.sizes["Z"] == 12
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["ratio"] == 4
    assert report["measured_planes"] == [0, 4, 8]
    assert report["shape"] == {"input": [3, 40, 40], "output": [2, 12, 40, 40]}


def test_simulated_sparsity_never_looks_at_the_other_planes(predict, stack, tmp_path):
    spoilt = tifffile.imread(stack)
    spoilt[[1, 2, 3, 5, 6, 7]] = 0
    write_stack(tmp_path / "spoilt.ome.tif", spoilt)
    options = ("--simulate-sparse", "--ratio", 4)
    predict(stack, *options, out="a.ome.tif")
    predict(tmp_path / "spoilt.ome.tif", *options, out="b.ome.tif")
    a, b = (load_volume(tmp_path / f"{name}.ome.tif").numpy() for name in "ab")
    assert a.shape == (2, 8, 40, 40)
    assert np.array_equal(a, b)


def test_truth_gives_a_table_and_a_report(predict, stack, tmp_path):
    write_stack(tmp_path / "truth.ome.tif", a_stack(seed=1))
    said, _ = predict(
        *(stack, "--truth", f"dna={tmp_path / 'truth.ome.tif'}"),
        *("--report", tmp_path / "r.json"),
    )
    scores = json.loads((tmp_path / "r.json").read_text())["structures"]
    assert set(scores["dna"]) >= {"r2", "mse", "mae", "pcc", "pcc_plane", "ssim"}
    assert len(scores["dna"]["r2_per_plane"]) == 8
    assert "r2" not in scores.get("golgi_apparatus", {})
    assert f"{scores['dna']['r2']:.3f}" in said


def test_a_saved_request_gives_the_same_numbers(predict, sparsessp, stack, tmp_path):
    options = ("--structures", "dna", "--ratio", 2, "--simulate-sparse")
    predict(stack, *options, out="a.ome.tif")
    (tmp_path / "request.yaml").write_text(
        f"input: {stack}\nstructures: [dna]\nratio: 2\nsimulate_sparse: true\n"
        "precision: bf16  # overridden by the option\n"
    )
    predict("--request", tmp_path / "request.yaml", out="b.ome.tif")
    a, b = (load_volume(tmp_path / f"{name}.ome.tif") for name in "ab")
    assert a.channel_names == b.channel_names == ("dna",)
    assert np.array_equal(a.numpy(), b.numpy())


def test_planes_that_the_file_calls_time_points_are_named(predict, sparsessp, tmp_path):
    """The same numbers as if the file had named them, in evaluate too."""
    wrong = write_stack(tmp_path / "t.ome.tif", a_stack(), "TYX")
    right = write_stack(tmp_path / "z.ome.tif", a_stack())
    size = ("--voxel-size", f"{STEP},{STEP},{STEP}")
    predict(wrong, "--axes", "ZYX", *size, out="a.ome.tif")
    predict(right, *size, out="b.ome.tif")
    a, b = (load_volume(tmp_path / f"{name}.ome.tif").numpy() for name in "ab")
    np.testing.assert_array_equal(a, b)
    code, out, err = sparsessp("evaluate", wrong, wrong, "--axes", "zyx")
    assert code == 0, err
    assert out.splitlines()[1].split()[-8:][0] == "1.000"


def test_a_folder_of_planes_is_a_stack_and_several_inputs_are_one_line(
    predict, bad, stack, tmp_path
):
    folder = tmp_path / "planes"
    folder.mkdir()
    for z, plane in enumerate(tifffile.imread(stack)):
        tifffile.imwrite(folder / f"bf_z{z}.tif", plane)
    size = ("--voxel-size", f"{STEP},{STEP},{STEP}")
    predict(stack, *size, out="a.ome.tif")
    predict(folder, *size, out="b.ome.tif")
    a, b = (load_volume(tmp_path / f"{name}.ome.tif").numpy() for name in "ab")
    np.testing.assert_array_equal(a, b)
    said = bad(*sorted(folder.iterdir()))
    assert "8 inputs (bf_z0.tif, bf_z1.tif, …)" in said
    assert f'"{folder}/*.tif"' in said


def test_quiet_is_quiet(sparsessp, small_model, stack, tmp_path):
    code, out, err = sparsessp(
        *("predict", stack, "--model", small_model, "--out", tmp_path / "o.ome.tif"),
        *("--quiet", "--device", "cpu", "--ratio", 1),
    )
    assert (code, err) == (0, "")
    assert out.count("\n") == 1


def test_a_named_channel_is_used(predict, tmp_path):
    two = np.stack([a_stack(), a_stack(seed=1)])
    path = write_stack(tmp_path / "two.ome.tif", two, "CZYX", channels=["BF", "GFP"])
    predict(path, "--channel", "gfp", out="a.ome.tif")
    predict(path, "--channel", "1", out="b.ome.tif")
    predict(write_stack(tmp_path / "one.ome.tif", two[1]), out="c.ome.tif")
    a, b, c = (load_volume(tmp_path / f"{name}.ome.tif").numpy() for name in "abc")
    assert np.array_equal(a, b)
    assert np.array_equal(a, c)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--structures", "kneecap"], "dna"),
        (["--structures", "mitochondria"], "golgi_apparatus"),
        (["--model", "nope"], "nope"),
        (["--model", "/nope.safetensors"], "/nope.safetensors"),
        (["--topology", "2d"], "2d"),
        (["--device", "abacus"], "cpu"),
        (["--device", "cuda:77"], "cpu"),
        (["--precision", "fp8"], "--precision"),
        (["--grid", "hexagonal"], "--grid"),
        (["--ratio", "0.5"], "ratio"),
        (["--ratio", "6"], "voxel size"),
        (["--ratio", "2.5", "--simulate-sparse"], "ratio"),
        (["--time", "3"], "time"),
        (["--scene", "9"], "scene"),
        (["--overlap", "1"], "overlap"),
        (["--normalisation", "100"], "MEAN,STD"),
        (["--normalisation", "100,0"], "MEAN,STD"),
        (["--normalisation", "nan,1"], "MEAN,STD"),
        (["--truth", "dna"], "STRUCTURE=FILE"),
        (["--truth", "dna=/nope.tif"], "/nope.tif"),
        (["--truth", "dna=a.tif", "--truth", "dna=b.tif"], "twice"),
        (["--report", "/nope/report.json"], "/nope"),
    ],
)
def test_an_impossible_option_is_refused(bad, stack, options, said):
    assert said in bad(stack, *options)


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_values_that_are_not_finite_are_located(bad, predict, tmp_path, value):
    array = a_stack().astype(np.float32)
    array[5, 3, 4] = value
    path = write_stack(tmp_path / "holes.ome.tif", array)
    line = bad(path)
    assert "5" in line
    assert "--mask-invalid" in line
    predict(path, "--mask-invalid")
    result = load_volume(tmp_path / "out.ome.tif").numpy()
    assert np.isnan(result).any()
    assert np.isfinite(result).mean() > 0.5


def test_an_image_without_any_finite_value_is_refused_masked_or_not(bad, tmp_path):
    path = write_stack(tmp_path / "nan.ome.tif", np.full((8, 40, 40), np.nan, "f4"))
    assert "every value" in bad(path)
    assert "every value" in bad(path, "--mask-invalid")


def test_what_is_refused_is_told_in_one_line_without_quiet_too(
    sparsessp, small_model, tmp_path
):
    """No progress, and no warnings about what is not going to be predicted."""
    array = np.full((8, 40, 40), np.inf, np.float32)
    path = write_stack(tmp_path / "inf.ome.tif", array, voxel_size=None)
    for image in (path, tmp_path / "missing.ome.tif"):
        code, out, err = sparsessp(
            "predict", image, "--out", tmp_path / "o.ome.tif", "--model", small_model
        )
        assert code == 2
        assert out == ""
        assert err.startswith("sparsessp: error: ")
        assert err.count("\n") == 1


def test_a_constant_truth_is_refused(bad, stack, tmp_path):
    flat = np.full((8, 40, 40), 7, np.uint16)
    path = write_stack(tmp_path / "flat.ome.tif", flat)
    assert "constant" in bad(stack, "--truth", f"dna={path}")


def test_an_existing_output_is_kept_unless_told(bad, predict, stack, tmp_path):
    (tmp_path / "out.ome.tif").write_text("precious")
    assert "exists already" in bad(stack)
    assert (tmp_path / "out.ome.tif").read_text() == "precious"
    predict(stack, "--overwrite")
    assert load_volume(tmp_path / "out.ome.tif").shape == (2, 8, 40, 40)


@pytest.mark.parametrize("out", ["nope/out.ome.tif", "out.png", "file/out.ome.zarr"])
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(
    refused, small_model, tmp_path, out
):
    (tmp_path / "file").write_text("not a folder")
    refused("predict", "/nope.tif", "--model", small_model, "--out", tmp_path / out)


SPARSE = (1.16, 0.35, 0.25)


@pytest.fixture
def both(predict, small_model, tmp_path):
    """Predict on the command line and in Python: (numbers, report) of each."""

    def run(path, options, **fields):
        out, told = tmp_path / "out.ome.zarr", tmp_path / "report.json"
        predict(path, "--report", told, *options, out=out)
        request = PredictionRequest(device="cpu", precision="fp32", **fields)
        result = predict_in_python(
            load_model(small_model), load_volume(path), request=request
        )
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
        expected = {"mean": mean, "std": std, "left_out": [], "padding": 0.0}
        assert scales[0] == [expected] * 2


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


@pytest.mark.parametrize("ending", ["ome.tif", "ome.zarr"])
def test_each_structure_gets_a_deviation_as_a_channel(predict, stack, tmp_path, ending):
    report, out = tmp_path / "report.json", tmp_path / f"a.{ending}"
    with_truth = ("--report", report, "--truth", f"dna={stack}:0")
    _, err = predict(stack, "--uncertainty", *with_truth, out=out)
    volume = load_volume(out)
    assert volume.channel_names == (
        "dna", "golgi_apparatus", "dna_std", "golgi_apparatus_std"
    )  # fmt: skip
    predict(stack, out=f"b.{ending}")
    plain = load_volume(tmp_path / f"b.{ending}").numpy()
    np.testing.assert_array_equal(volume.numpy()[:2], plain)
    assert (volume.numpy()[2:] >= 0).all()
    said = json.loads(report.read_text())
    assert said["request"]["uncertainty"]
    assert set(said["structures"]) == {"dna"}
    assert 0 <= said["structures"]["dna"]["within_std"] <= 1
    assert "bare spread" in err
    if ending == "ome.zarr":
        return  # grey for deviations is looked at in the other
    with tifffile.TiffFile(out) as file:
        channels = tifffile.xml2dict(file.ome_metadata)
    pixels = channels["OME"]["Image"]["Pixels"]["Channel"]
    colours = [one["Color"] & 0xFFFFFFFF for one in pixels]
    red, green, blue = ((colours[2] >> shift) & 255 for shift in (24, 16, 8))
    assert red == green == blue
    assert colours[2] == colours[3]
    assert len(set(colours)) == 3


def test_turns_change_the_numbers_and_the_record(predict, stack, tmp_path):
    predict(stack, out="a.ome.tif")
    predict(stack, "--tta", out="b.ome.tif")
    plain, turned = (load_volume(tmp_path / f"{x}.ome.tif").numpy() for x in "ab")
    assert plain.shape == turned.shape
    assert np.abs(plain - turned).max() > 0
    assert read_provenance(tmp_path / "b.ome.tif")["request"]["tta"]


def test_what_is_unfamiliar_is_told_before_the_first_tile_and_in_every_record(
    predict, stack, small_model, tmp_path
):
    model = load_model(small_model)
    card = ModelCard.model_validate(
        model.card.model_dump(by_alias=True)
        | {"familiarity": {"fine": [{"low": -9, "high": -8}]}}
    )
    path = save_model(tmp_path / "knows.safetensors", model.network, card)
    report, out = tmp_path / "report.json", tmp_path / "a.ome.tif"
    _, err = predict(stack, "--report", report, out=out, model=path)
    assert err.index("structures may be invented") < err.index("tile 1 of")
    assert err.count("structures may be invented") == 1
    said = json.loads(report.read_text())
    assert len(said["unfamiliar"]) == 1
    assert said["unfamiliar"][0] in said["warnings"]
    assert read_provenance(out)["unfamiliar"] == said["unfamiliar"]
