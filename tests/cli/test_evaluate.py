"""`sparsessp evaluate` and `sweep`: what they print, write, keep and refuse."""

import json

import numpy as np
import pytest
import tifffile
from sklearn.metrics import r2_score

from images import a_stack, write_stack
from napari_sparsessp.evaluation import sweep as sweeping
from napari_sparsessp.io.writing import write_prediction
from napari_sparsessp.metrics import zscore_truth
from napari_sparsessp.volume import Volume


@pytest.fixture
def pair(tmp_path):
    """A truth, and a prediction of it in units of the z-scored truth."""
    truth = a_stack()
    noise = np.random.default_rng(3).normal(0, 0.5, truth.shape)
    predicted = (zscore_truth(truth) + noise).astype(np.float32)
    return (
        write_stack(tmp_path / "prediction.ome.tif", predicted),
        write_stack(tmp_path / "truth.ome.tif", truth),
        r2_score(zscore_truth(truth).ravel(), predicted.ravel()),
    )


def test_r2_is_scikit_learns(sparsessp, pair, tmp_path):
    prediction, truth, expected = pair
    report = tmp_path / "report.json"
    code, out, err = sparsessp("evaluate", prediction, truth, "--report", report)
    assert code == 0
    assert f"{expected:.3f}" in out
    content = json.loads(report.read_text())
    (scores,) = content["structures"].values()
    assert scores["r2"] == pytest.approx(expected, abs=1e-6)
    assert content["warnings"] == []


def test_channels_are_paired_by_what_they_show(sparsessp, tmp_path):
    golgi, dna = a_stack(seed=1), a_stack(seed=2)
    predicted = np.stack([zscore_truth(dna), zscore_truth(golgi)])
    prediction = write_stack(
        *(tmp_path / "p.ome.tif", predicted, "CZYX"),
        channels=["dna", "golgi_apparatus"],
    )
    truth = write_stack(
        *(tmp_path / "t.ome.tif", np.stack([golgi, dna, dna]), "CZYX"),
        channels=["ST6GAL1", "Hoechst 33342", "brightfield"],
    )
    report = tmp_path / "r.json"
    code, out, _ = sparsessp("evaluate", prediction, truth, "--report", report)
    assert code == 0
    assert "mean of structures" in out
    scores = json.loads(report.read_text())["structures"]
    assert set(scores) == {"dna", "golgi_apparatus"}
    assert all(one["r2"] == pytest.approx(1, abs=1e-5) for one in scores.values())


def test_channels_can_be_chosen(sparsessp, pair, tmp_path):
    prediction, _, expected = pair
    two = np.stack([a_stack(seed=9), a_stack()])
    truth = write_stack(tmp_path / "two.ome.tif", two, "CZYX")
    code, out, _ = sparsessp("evaluate", prediction, truth, "--truth-channel", 1)
    assert code == 0
    assert f"{expected:.3f}" in out


@pytest.mark.parametrize(("time", "points"), [("1", [1]), ("0:3:2", [0, 2])])
def test_a_part_of_a_time_lapse_is_scored_with_its_time_points(
    sparsessp, refused, tmp_path, time, points
):
    """The prediction says which; another image has to have as many as the truth."""
    truth = np.stack([a_stack(seed=seed) for seed in range(3)])
    labels = write_stack(tmp_path / "truth.ome.tif", truth, "TZYX")
    values = np.stack([zscore_truth(truth[i]) for i in points])[:, None]
    volume = Volume(values, "TCZYX", voxel_size=(0.29, 0.29, 0.29))
    ours, theirs = tmp_path / "ours.ome.tif", tmp_path / "theirs.ome.tif"
    write_prediction(ours, volume, ["dna"], {"request": {"time": time}})
    write_prediction(theirs, volume, ["dna"])
    report = tmp_path / "report.json"
    code, _, err = sparsessp("evaluate", ours, labels, "--report", report)
    assert code == 0, err
    assert f"{', '.join(map(str, points))}, as the prediction was made" in err
    (scores,) = json.loads(report.read_text())["structures"].values()
    assert scores["r2"] == pytest.approx(1, abs=1e-5)
    assert "3; cut them" in refused("evaluate", theirs, labels)


def test_an_image_in_counts_has_r2_1_against_itself(sparsessp, pair, tmp_path):
    _, truth, _ = pair
    report = tmp_path / "report.json"
    code, out, err = sparsessp("evaluate", truth, truth, "--report", report)
    assert (code, err) == (0, "")
    (scores,) = json.loads(report.read_text())["structures"].values()
    assert (scores["r2"], scores["mse"]) == (1, 0)


def test_bad_inputs_are_one_line(refused, pair, tmp_path):
    prediction, truth, _ = pair
    assert "/nope.tif" in refused("evaluate", "/nope.tif", truth)
    assert "/nope.tif" in refused("evaluate", prediction, "/nope.tif")
    flat = write_stack(tmp_path / "flat.ome.tif", np.full((8, 40, 40), 3, np.uint16))
    assert "constant" in refused("evaluate", prediction, flat)
    other = write_stack(tmp_path / "o.ome.tif", a_stack(3, 17), voxel_size=None)
    assert "3×17×17" in refused("evaluate", prediction, other)
    torn = tmp_path / "torn.tif"
    tifffile.imwrite(torn, a_stack(), compression="zlib")
    with tifffile.TiffFile(torn) as opened:
        (start, *_) = opened.pages[3].dataoffsets
    content = bytearray(torn.read_bytes())
    content[start : start + 50] = bytes(50)
    torn.write_bytes(content)
    assert "torn.tif cannot be read" in refused("evaluate", prediction, torn)
    two = np.stack([a_stack(), a_stack()])
    names = ["red", "green"]
    two = write_stack(tmp_path / "two.ome.tif", two, "CZYX", channels=names)
    assert "red" in refused("evaluate", prediction, two)
    (tmp_path / "r.json").write_text("precious")
    report = ("--report", tmp_path / "r.json")
    assert "--overwrite" in refused("evaluate", prediction, truth, *report)
    assert (tmp_path / "r.json").read_text() == "precious"


FILES = ["sweep.html", "sweep.json", "sweep.png"]


@pytest.fixture
def truth(tmp_path):
    """Path of a truth on the stack's grid, one channel for each structure."""
    both = np.stack([a_stack(seed=1), a_stack(seed=2)])
    return write_stack(
        tmp_path / "truth.ome.tif", both, "CZYX", channels=["dna", "golgi_apparatus"]
    )


@pytest.fixture
def sweep(sparsessp, small_model, stack, truth):
    """Run a sweep of the small stack on the CPU."""

    def run(*arguments):
        common = ("sweep", stack, "--model", small_model, "--device", "cpu")
        return sparsessp(*common, "--truth", f"dna={truth}", *arguments)

    return run


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_table_and_one_sentence_go_to_standard_output(sweep, tmp_path):
    before = _names(tmp_path)
    code, out, _ = sweep("--ratios", "1,4")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split()[:5] == ["R²", "r=1", "(8)", "r=4", "(2)"]
    assert lines[0].endswith("ceiling  planes needed")
    assert lines[1].startswith("dna")
    assert lines[3].startswith("PCC in planes")
    assert lines[-1].startswith(("R² cannot tell", "2 of 8", "All 8"))
    assert _names(tmp_path) == before, "without --out nothing is written"


def test_out_gets_scores_figure_and_page(sweep, tmp_path):
    out = tmp_path / "new" / "folder"
    code, said, _ = sweep("--ratios", "2,1", "--out", out)
    assert code == 0
    assert _names(out) == FILES
    report = json.loads((out / "sweep.json").read_text())
    assert [one["ratio"] for one in report["ratios"]] == [1, 2]
    assert report["request"]["simulate_sparse"] is True
    assert (out / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert report["model"]["sha256"] in (out / "sweep.html").read_text("utf-8")
    assert said.splitlines()[-1] == str(out / "sweep.html")


def test_several_structures_have_a_mean(sweep, truth):
    code, out, _ = sweep("--ratios", "1,2", "--truth", f"golgi={truth}:golgi_apparatus")
    assert code == 0
    rows = [line.split("  ")[0] for line in out.splitlines()]
    assert rows[1:4] == ["dna", "golgi_apparatus", "mean of structures"]


def test_structures_choose_among_the_truths(sweep, truth):
    golgi = ("--truth", f"golgi={truth}:golgi_apparatus")
    code, out, _ = sweep("--ratios", "1,2", *golgi, "--structures", "golgi")
    assert code == 0
    assert "\ndna" not in out


def test_nothing_is_overwritten_unless_asked(sweep, tmp_path):
    (tmp_path / "sweep.json").write_text("mine")
    code, out, err = sweep("--ratios", "1", "--out", tmp_path)
    assert (code, out) == (2, "")
    assert "exists already" in err
    assert (tmp_path / "sweep.json").read_text() == "mine"
    assert sweep("--ratios", "1", "--out", tmp_path, "--overwrite")[0] == 0
    assert (tmp_path / "sweep.json").read_text() != "mine"


def test_an_interrupted_sweep_keeps_what_is_done(sweep, tmp_path, monkeypatch):
    whole = sweeping.run_sweep

    def interrupted(*arguments):
        yield next(whole(*arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeping, "run_sweep", interrupted)
    out = tmp_path / "out"
    code, said, err = sweep("--ratios", "1,2,4", "--out", out)
    assert code == 130
    assert said.startswith("R²")
    assert "stopped early" in err
    assert _names(out) == FILES
    report = json.loads((out / "sweep.json").read_text())
    assert report["finished"] is False
    assert [one["ratio"] for one in report["ratios"]] == [1]


def test_an_input_that_is_refused_leaves_no_folder(sweep, tmp_path):
    out = tmp_path / "out"
    assert sweep("--ratios", "16", "--out", out)[0] == 2
    assert not out.exists()


def test_each_phase_is_swept_on_request(sweep, tmp_path):
    assert sweep("--ratios", "2", "--all-phases", "--out", tmp_path)[0] == 0
    report = json.loads((tmp_path / "sweep.json").read_text())
    phases = report["ratios"][0]["phases"]
    assert [phase["measured_planes"] for phase in phases] == [
        [0, 2, 4, 6],
        [1, 3, 5, 7],
    ]


def test_one_time_point_is_swept(sparsessp, small_model, tmp_path):
    frames = np.stack([a_stack(seed=3), a_stack(seed=0)])
    labels = np.stack([a_stack(seed=4), a_stack(seed=1)])
    movie = write_stack(tmp_path / "movie.ome.tif", frames, "TZYX")
    truth = write_stack(tmp_path / "labels.ome.tif", labels, "TZYX")
    still = write_stack(tmp_path / "still.ome.tif", frames[1])
    its = write_stack(tmp_path / "its.ome.tif", labels[1])
    common = ("--model", small_model, "--device", "cpu", "--ratios", "1,2")
    one = sparsessp("sweep", still, "--truth", f"dna={its}", *common)
    two = sparsessp("sweep", movie, "--truth", f"dna={truth}", *common, "--time", "1")
    assert one[:2] == two[:2]
    _, _, err = sparsessp("sweep", movie, "--truth", f"dna={truth}", *common)
    assert "the first of 2 time points" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--ratios", "1,x"), "write whole numbers"),
        (("--ratios", "0"), "write whole numbers"),
        (("--ratios", "16"), "from 1 to 8"),
        (("--ratios", "1.5"), "write whole numbers"),
        (("--structures", "golgi"), "no truth for golgi_apparatus"),
        (("--channel", "Phase"), "Phase"),
        (("--voxel-size", "1.16,0.29,0.29"), "sparse already"),
        (("--truth", "mitochondria=x.tif"), "mitochondria"),
        (("--time", "3"), "time point 3"),
        (("--against-dense",), "not both"),
        (("--keep", "1.2"), "for example 0.95"),
        (("--keep", "0.9", "--tolerance", "0.1"), "leave one of them out"),
    ],
)
def test_what_cannot_be_swept_is_refused_in_one_line(sweep, arguments, says):
    code, out, err = sweep("--quiet", *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.strip().splitlines()) == 1, err


def test_a_sweep_without_truth_says_what_is_missing(refused, stack, small_model):
    said = refused("sweep", stack, "--model", small_model)
    assert "--truth" in said
    assert "--against-dense" in said


def test_without_a_truth_the_model_is_held_against_itself(
    sparsessp, small_model, stack, tmp_path
):
    out = tmp_path / "out"
    code, said, _ = sparsessp(
        *("sweep", stack, "--model", small_model, "--device", "cpu", "--out", out),
        *("--against-dense", "--ratios", "2,4", "--structures", "dna"),
    )
    assert code == 0
    lines = said.splitlines()
    assert lines[0].split()[:7] == ["R²", "r=1", "(8)", "r=2", "(4)", "r=4", "(2)"]
    assert lines[0].endswith("r=4 (2)  planes needed"), "no yardsticks, no ceiling"
    assert lines[1].split()[:2] == ["dna", "1.000"]
    assert "no truth" in said
    report = json.loads((out / "sweep.json").read_text())
    assert report["reference"] == "dense prediction"
    assert report["answer"] in said
    assert _names(out) == FILES


def test_what_is_enough_can_be_a_share_or_a_difference(sweep, tmp_path):
    sweep("--ratios", "1,2", "--out", tmp_path / "share", "--keep", "0.9")
    sweep("--ratios", "1,2", "--out", tmp_path / "loss", "--tolerance", "0.1")
    share, loss = (
        json.loads((tmp_path / name / "sweep.json").read_text())
        for name in ("share", "loss")
    )
    assert (share["share"], share["tolerance"]) == (0.9, None)
    assert (loss["share"], loss["tolerance"]) == (None, 0.1)
