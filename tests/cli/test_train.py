"""`sparsessp simulate` and `train`, from a YAML file to a model that predicts."""

import json
import os
import signal
import subprocess
import sys
from unittest.mock import ANY, Mock

import numpy as np
import pytest
import yaml

from images import a_stack, write_stack
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.io.writing import read_provenance
from napari_sparsessp.models.library import load_model
from napari_sparsessp.models.verification import verify_model
from napari_sparsessp.simulation.colony import simulate_colony
from napari_sparsessp.simulation.pool import save_colony
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.training.pairs import read_labels
from thin import save_random, thin_network

SLIM = {
    "depth": 8, "encoder_widths": [4, 8], "encoder_blocks": [1, 1],
    "decoder_widths": [8, 8, 12], "folded_width": 8, "standardised": True,
}  # fmt: skip


@pytest.fixture(scope="session")
def pool(tmp_path_factory):
    """Two tiny colonies, as `sparsessp simulate` leaves large ones."""
    folder = tmp_path_factory.mktemp("pool")
    for seed in range(2):
        save_colony(folder, seed, simulate_colony(seed, (16, 32, 32), looks=2))
    return folder


@pytest.fixture
def pairs(tmp_path):
    """Three stacks with one or two labels each, as a CSV."""
    lines = ["path,signal,target,structure"]
    for seed in range(3):
        channels = np.stack([a_stack(10, 32, seed + k) for k in range(3)])
        path = write_stack(tmp_path / f"{seed}.ome.tif", channels, "CZYX")
        lines.append(f"{path.name},0,1,dna")
        if seed:
            lines.append(f"{path.name},0,2,golgi_apparatus")
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    return tmp_path / "pairs.csv"


def written(folder, **changes):
    """Write a config with little to do."""
    values = {
        "out": "run",
        "model": {"id": "mine"},
        "network": SLIM,
        "recipe": {"patch": [16, 16], "batch": 2, "precision": "fp32"},
        "ratios": [1, 2],
        "budget": {"steps": 6, "save_steps": 3},
        "validation": {"share": 0.3},
        "device": "cpu",
        **changes,
    }
    file = folder / "train.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def test_colonies_become_a_model(sparsessp, pool, tmp_path):
    """With a card that says all, a check that holds, and a prediction."""
    config = written(tmp_path, data={"simulated": {"pool": str(pool)}})
    code, out, err = sparsessp("train", config)
    assert code == 0, err
    assert "1 stacks to learn from, 1 to validate on" in err
    model = tmp_path / "run" / "mine.safetensors"
    assert out.strip() == str(model)
    assert verify_model(model).ok
    card = load_model(model).card
    assert len(card.structures) == 12
    assert card.ratios == (1, 2)
    assert "2 simulated hiPSC colonies" in card.trained_on
    assert "6 steps of 2 patches of 8×16×16" in card.trained_on
    scores = card.scores["validation"]
    assert scores["r2_by_structure_and_ratio"]["dna"].keys() == {"1", "2"}
    assert not card.network["standardised"]
    assert card.uncertainty.keys() == set(card.structures)
    stack = write_stack(tmp_path / "s.ome.tif", a_stack())
    target = tmp_path / "p.ome.tif"
    code, out, err = sparsessp(
        "predict", stack, "--out", target, "--model", model, "--structures", "dna"
    )
    assert code == 0, err
    # Once it is done, the same command only writes the model again.
    before = model.read_bytes()
    assert sparsessp("train", config)[0] == 0
    assert model.read_bytes() == before


def test_pairs_with_some_labels_become_a_model(sparsessp, pairs, tmp_path):
    """Structures from the list; a network that is told what to predict; half size."""
    config = written(
        tmp_path,
        data={"pairs": "pairs.csv"},
        model={"id": "two", "weights": "float16", "licence": "CC0"},
        network={
            "backbone": "plain", "conditioning": "repmode", "topology": "3d",
            "depth": 8, "encoder_widths": [4, 4], "decoder_widths": [4],
            "encoder_blocks": [1, 1], "kernel": 5,
        },
        recipe={"name": "paper", "patch": [16, 16], "batch": 2},
    )  # fmt: skip
    code, _, err = sparsessp("train", config)
    assert code == 0, err
    model = tmp_path / "run" / "two.safetensors"
    assert verify_model(model).ok
    card = load_model(model).card
    assert card.structures == ("dna", "golgi_apparatus")
    assert (card.scaling, card.licence) == ("zscore", "CC0")
    assert "labels of: dna 3, golgi_apparatus 2" in card.trained_on


def test_maximum_projections_become_a_model_of_one_plane(sparsessp, tmp_path):
    """Learned from targets of one plane, it gives one and is scored by one."""
    light = a_stack(6, 32)
    flat = np.stack([light.max(0)[None], light.min(0)[None]])
    write_stack(tmp_path / "light.ome.tif", light)
    truth = write_stack(tmp_path / "labels.ome.tif", flat, "CZYX", channels=["A", "B"])
    lines = [f"light.ome.tif,0,labels.ome.tif,{one},{one}" for one in "AB"]
    table = ["path,signal,path_target,target,structure", *lines]
    (tmp_path / "pairs.csv").write_text("\n".join(table))
    config = written(
        tmp_path,
        data={"pairs": "pairs.csv"},
        network={
            "backbone": "dod", "conditioning": "multihead", "topology": "2d",
            "depth": 6, "encoder_widths": [4, 4], "decoder_widths": [4],
            "encoder_blocks": [1, 1], "norm": "none",
        },
        ratios=[1],
        validation={"share": 0},
    )  # fmt: skip
    code, out, err = sparsessp("train", config)
    assert code == 0, err
    model = out.strip()
    assert load_model(model).card.z_projection == "mean"
    assert "one plane, the mean of its planes" in sparsessp("models", "show", model)[1]
    target, report = tmp_path / "p.ome.tif", tmp_path / "p.json"
    code, _, err = sparsessp(
        "predict", tmp_path / "light.ome.tif", "--model", model, "--out", target,
        "--report", report, "--truth", f"a={truth}:A", "--truth", f"b={truth}:B",
    )  # fmt: skip
    assert code == 0, err
    content = json.loads(report.read_text())
    assert content["shape"]["output"] == [2, 1, 32, 32]
    code, out, err = sparsessp("evaluate", target, truth, "--report", tmp_path / "e")
    assert code == 0, err
    scored = json.loads((tmp_path / "e").read_text())["structures"]
    for name in "ab":
        assert scored[name]["pcc"] == pytest.approx(
            content["structures"][name]["pcc"], abs=1e-3
        )


def test_the_shipped_model_can_be_fine_tuned(sparsessp, tmp_path):
    """Its encoder stays as it is; one stack, of which a part is kept back."""
    channels = np.stack([a_stack(32, 64, k) for k in range(2)])
    write_stack(tmp_path / "a.ome.tif", channels, "CZYX", channels=["TL", "DNA"])
    (tmp_path / "pairs.csv").write_text(
        "path,signal,target,structure\na.ome.tif,TL,DNA,dna\n"
    )
    config = written(
        tmp_path,
        data={"pairs": "pairs.csv"},
        model={"id": "tuned", "structures": ["dna", "zo1"]},
        network={"from": "colony-3to2d", "freeze_encoder": True},
        recipe={"patch": [32, 32], "batch": 1, "precision": "fp32", "warm_up": 0},
        budget={"steps": 2},
        validation={"by": "x", "share": 0.5},
    )
    code, _, err = sparsessp("train", config)
    assert code == 0, err
    tuned = load_model(tmp_path / "run" / "tuned.safetensors")
    shipped = load_model("colony-3to2d")
    started = f"Fine-tuned from colony-3to2d {shipped.card.version}, which had seen"
    assert started in tuned.card.trained_on
    assert "Of colony-3to2d, from which it was fine-tuned: " in tuned.card.limits[0]
    assert "Had no label of tight_junction" in tuned.card.limits[-1]
    assert tuned.card.scaling == shipped.card.scaling
    new, old = tuned.network.state_dict(), shipped.network.state_dict()
    assert (new["encoder.0.0.conv1.weight"] == old["encoder.0.0.conv1.weight"]).all()
    assert (new["up.0.weight"] != old["up.0.weight"]).any()
    row = shipped.card.structures.index("dna") * 32
    near = (new["head.weight"][:32] - old["head.weight"][row : row + 32]).abs().max()
    assert 0 < near < 0.01


def test_the_card_says_what_is_familiar_and_how_far_it_is_off(sparsessp, tmp_path):
    """From four stacks, of which one is kept back."""
    names = ["TL", "DNA"]
    for seed in range(4):
        channels = np.stack([a_stack(8, 64, seed), a_stack(8, 64, seed + 9)])
        write_stack(tmp_path / f"{seed}.ome.tif", channels, "CZYX", channels=names)
    rows = [f"{seed}.ome.tif,TL,DNA,dna" for seed in range(4)]
    table = "\n".join(["path,signal,target,structure", *rows])
    (tmp_path / "pairs.csv").write_text(table)
    code, out, err = sparsessp("train", written(tmp_path, data={"pairs": "pairs.csv"}))
    assert code == 0, err
    model = out.strip()
    card = load_model(model).card
    assert {"fine", "coarse", "alike_fine"} <= card.familiarity.keys()
    assert card.uncertainty["dna"].expected_error(0.0) > 0.5  # it has learned nothing
    code, _, err = sparsessp(
        "predict", tmp_path / "0.ome.tif", "--channel", "TL", "--out",
        tmp_path / "p.ome.tif", "--model", model, "--uncertainty", "--ratio", 1,
    )  # fmt: skip
    assert code == 0, err
    assert "bare spread" not in err
    assert "learned from" not in err


def test_what_it_began_with_is_not_forgotten_on_the_card(sparsessp, pairs, tmp_path):
    base = tmp_path / "base.safetensors"
    names = ("dna", "golgi_apparatus")
    save_random(base, thin_network(), structures=names, modality="phase contrast")
    network = {"from": str(base)}
    config = written(tmp_path, data={"pairs": "pairs.csv"}, network=network)
    assert sparsessp("train", config)[0] == 0
    card = load_model(tmp_path / "run" / "mine.safetensors").card
    assert card.modality == "phase contrast"
    assert card.familiarity == {}  # nobody knows what the first had seen


def test_colonies_are_simulated_for_a_training(sparsessp, tmp_path):
    """Once: when it goes on they are there."""
    data = {"simulated": {"colonies": 2, "seed": 7, "looks": 1, "shape": [16, 32, 32]}}
    model = {"id": "x", "structures": ["nucleolus", "dna"]}
    config = written(tmp_path, data=data, model=model, budget={"steps": 2})
    times = []
    for _ in range(2):
        code, _, err = sparsessp("train", config)
        assert code == 0, err
        made = sorted((tmp_path / "run" / "colonies").iterdir())
        assert {path.name[0] for path in made} == {"7", "8"}
        times.append([path.stat().st_mtime_ns for path in made])
    assert times[0] == times[1]
    card = load_model(tmp_path / "run" / "x.safetensors").card
    assert card.structures == ("nucleolus", "dna")


def test_tensorboard_is_asked_for_and_may_be_missing(
    sparsessp, pool, tmp_path, monkeypatch
):
    board = Mock()
    data = {"simulated": {"pool": str(pool)}}
    config = written(tmp_path, data=data, tensorboard=True)
    name = "torch.utils.tensorboard"
    monkeypatch.setitem(sys.modules, name, board)
    assert sparsessp("train", config)[0] == 0
    board.SummaryWriter.assert_called_with(str(tmp_path / "run" / "tensorboard"))
    board.SummaryWriter().add_scalar.assert_any_call("r2/mean", ANY, 3)
    monkeypatch.setitem(sys.modules, name, None)
    code, _, err = sparsessp("train", config)
    assert code == 0
    assert "warning: TensorBoard is not installed" in err


def test_what_is_wrong_is_told_before_anything_is_made(refused, pairs, tmp_path):
    data = {"pairs": "pairs.csv"}
    config = written(tmp_path, data=data, loss="l3")
    assert "loss 'l3' cannot be used" in refused("train", config)
    config = written(tmp_path, data={"pairs": "none.csv"})
    assert "cannot read the list of pairs" in refused("train", config)
    config = written(tmp_path, data=data, model={"id": "x", "structures": ["zo1"]})
    assert "no label of tight_junction; they have dna" in refused("train", config)
    config = written(tmp_path, data=data, network={"from": "nothing"})
    assert "there is no model called nothing" in refused("train", config)
    assert "cannot read config" in refused("train", tmp_path / "no.yaml")
    (tmp_path / "1.ome.tif").unlink()
    line = refused("train", written(tmp_path, data=data))
    assert "1 of the 3 images" in line
    assert "1.ome.tif" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
def test_ctrl_c_saves_and_says_how_to_go_on(sparsessp, pool, tmp_path):
    config = written(
        tmp_path, data={"simulated": {"pool": str(pool)}}, budget={"steps": 4000}
    )
    command = "from napari_sparsessp.cli.main import app_main; app_main()"
    running = subprocess.Popen(
        [sys.executable, "-c", command, "train", str(config)],
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in running.stderr:
        if "best structures" in line:  # above the first validation
            break
    os.kill(running.pid, signal.SIGINT)
    _, err = running.communicate()
    assert running.returncode == 130
    assert f"go on with: sparsessp train {config}" in err
    assert "Traceback" not in err
    assert (tmp_path / "run" / "state.pt").exists()


@pytest.fixture
def simulated(sparsessp, tmp_path):
    """`simulated("name", *options)`: the folder of one or more small colonies."""

    def run(name, *options):
        folder = tmp_path / name
        size = ("--shape", "8,48,48")
        code, out, err = sparsessp("simulate", "--out", folder, *size, *options)
        assert code == 0, err
        assert out.strip() == str(folder / "colonies.csv")
        assert ("kept" in err) == ("--seed" not in options and name == "twice")
        return folder

    return run


def first_colony(folder, number=0):
    """Voxels of a colony in such a folder."""
    return load_volume(folder / f"colony_{number:06}.ome.tif").numpy()


def test_colonies_can_be_read_and_trained_on(simulated):
    """Bright-field and every structure, with names, size and a line each."""
    folder = simulated("new", "--volumes", 2)
    volume = load_volume(folder / "colony_000001.ome.tif")
    assert volume.shape == (13, 8, 48, 48)
    assert volume.voxel_size == pytest.approx((0.29, 0.29, 0.29))
    assert volume.channel_names == ("bright_field", *CATALOGUE)
    labels = read_labels(folder / "colonies.csv")
    assert len(labels) == 2 * len(CATALOGUE)
    assert {label.structure for label in labels} == set(CATALOGUE)


def test_the_same_seed_gives_the_same_colony_and_its_own_noise(simulated):
    a, b, clean = (
        first_colony(simulated(name, "--seed", 7, "--photons", photons), 7)
        for name, photons in (("a", 20000), ("b", 20000), ("clean", 0))
    )
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(a[1:], clean[1:])
    assert 0.001 < np.abs(a[0] - clean[0]).mean() < 0.05


def test_a_colony_that_is_there_is_kept(simulated):
    """Also when more are asked for; the list names all."""
    folder = simulated("twice", "--seed", 0)
    before = (folder / "colony_000000.ome.tif").read_bytes()
    simulated("twice", "--photons", 0)
    assert (folder / "colony_000000.ome.tif").read_bytes() == before
    simulated("twice", "--seed", 1)
    assert "colony_000000" in (folder / "colonies.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--shape", "4,48,48", "at least 8,32,32"),
        ("--shape", "99999,9999,9999", "smaller"),
        ("--shape", "1,2", "Z,Y,X"),
        ("--contrast", "dark-field", "phase-contrast"),
    ],
)
def test_an_impossible_colony_is_one_line(refused, tmp_path, option, value, says):
    assert says in refused("simulate", "--out", tmp_path, option, value)


@pytest.mark.parametrize("contrast", ["phase-contrast", "dic"])
def test_the_same_colony_in_another_contrast(simulated, contrast):
    """Its channel and its provenance say which; the structures are the same."""
    bright = first_colony(simulated("bright", "--photons", 0))
    folder = simulated(contrast, "--photons", 0, "--contrast", contrast)
    file = folder / "colony_000000.ome.tif"
    names = (contrast.replace("-", "_"), *CATALOGUE)
    assert load_volume(file).channel_names == names
    assert read_provenance(file)["contrast"] == contrast
    other = first_colony(folder)
    np.testing.assert_array_equal(bright[1:], other[1:])
    assert abs(np.corrcoef(bright[0].ravel(), other[0].ravel())[0, 1]) < 0.9


def test_fluorescence_through_a_camera_is_asked_for(simulated):
    """Counts above the camera's offset; what bleached is written down."""
    expected = first_colony(simulated("expected"))
    folder = simulated("counted", "--fluorescence-photons", 200)
    counted = first_colony(folder)
    np.testing.assert_array_equal(expected[0], counted[0])
    labels = counted[1:]
    np.testing.assert_array_equal(labels, labels.round())
    assert 100 < labels.mean() < 300
    dna = 1 + list(CATALOGUE).index("dna")
    assert np.corrcoef(expected[dna].ravel(), counted[dna].ravel())[0, 1] > 0.8
    record = read_provenance(folder / "colony_000000.ome.tif")
    assert record["fluorescence_photons"] == 200
    assert len(record["bleached"]) == len(CATALOGUE)
    assert all(0.05 <= share <= 0.4 for share in record["bleached"])
