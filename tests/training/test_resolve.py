"""What a config leaves open, and what is kept back."""

import json

import numpy as np
import pytest

from bundled import make
from napari_sparsessp.errors import InputError, ModelError
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.training.checkpoints import run_of, unfinished_runs
from napari_sparsessp.training.config import (
    Pairs,
    Validation,
    config_text,
    make_config,
    read_config,
)
from napari_sparsessp.training.patches import Pair
from napari_sparsessp.training.resolve import (
    QuickOptions,
    claim_folder,
    quick_config,
    read_rate,
    read_ratios,
    resolve_config,
    run_folder,
    write_ratios,
)
from napari_sparsessp.training.run import (
    bf16_is_safe,
    patch_recipe,
    training_plan,
)

LEAST = {
    "out": "run",
    "model": {"id": "mine"},
    "data": {"pairs": "pairs.csv"},
    "budget": {"steps": 100},
    "device": "cpu",
}


def resolved(**changes):
    return resolve_config(make_config({**LEAST, **changes}))


def a_pair(*labels, shape=(8, 40, 60), name=""):
    look = np.zeros((1, *shape), np.float16)
    return Pair(look, [look[0]] * len(labels), labels, name=name)


def test_a_bundle_is_no_network_to_start_from(tmp_path):
    make(tmp_path / "members")
    with pytest.raises(InputError, match="is a bundle of 3 models; start from one of"):
        resolved(network={"from": "several"})


def test_structures_come_from_config_model_or_data_in_this_order():
    data = ["golgi_apparatus", "dna", "own"]
    assert resolved().structures(data) == ("dna", "golgi_apparatus", "own")
    named = resolved(model={"id": "x", "structures": ["own", "dna"]})
    assert named.structures(data) == ("own", "dna")
    aliased = resolved(model={"id": "x", "structures": ["st6gal1"]})
    assert aliased.structures(data) == ("golgi_apparatus",)
    tuned = resolved(network={"from": "colony-3to2d"})
    assert tuned.structures(data) == ("dna", "golgi_apparatus", "own")
    keeps = {"id": "x", "structures": ["zo1", "dna"]}
    kept = resolved(network={"from": "colony-3to2d"}, model=keeps)
    assert kept.structures(data) == ("tight_junction", "dna")
    with pytest.raises(InputError, match="no label of tight_junction; they have dna"):
        resolved(model={"id": "x", "structures": ["zo1"]}).structures(["dna"])
    with pytest.raises(InputError, match="they have own"):
        kept.structures(["own"])


def test_a_fine_tuned_model_keeps_grid_ratios_and_scaling():
    tuned = resolved(network={"from": "colony-3to2d"}, recipe="fast")
    network = tuned.network(tuned.structures(["dna"]))
    assert tuned.voxel_size == (0.29, 0.29, 0.29)
    assert tuned.ratios(network) == (1, 2, 4, 8)
    assert tuned.scaling == "robust"
    assert tuned.learning_rate < resolved(recipe="fast").learning_rate
    with pytest.raises(ModelError, match="no model called nowhere"):
        resolved(network={"from": "nowhere"})


def test_a_network_for_one_ratio_learns_that_one_at_phase_0():
    one = resolved(network={"backbone": "dod", "topology": "2d", "ratio": 4})
    network = one.network(["dna"])
    assert one.ratios(network) == (4,)
    assert not one.random_phase(network)
    assert resolved().random_phase(resolved().network(["dna"]))


def test_the_paper_s_plan_is_the_paper_s():
    paper = resolved(recipe="paper")
    recipe, plan = paper.config.recipe, training_plan(paper, paper.network(["dna"]))
    assert (recipe.turns, recipe.random_phase) == ("flips", False)
    assert (plan.optimiser, plan.learning_rate, plan.batch) == ("adam", 1e-4, 8)
    assert (plan.schedule, plan.average, plan.clip) == ("constant", 0, 0)
    assert (plan.steps, plan.save_steps, plan.precision) == (100, 10, "fp32")


@pytest.mark.parametrize(
    ("network", "safe"),
    [
        ({"backbone": "slim"}, True),
        ({"backbone": "dod", "topology": "3to2d"}, False),
        ({"backbone": "dod", "topology": "2d"}, True),
        ({"backbone": "plain", "topology": "2to3d"}, False),
        ({"backbone": "plain", "topology": "3d", "depth": 48}, True),
    ],
    ids=["slim", "3to2d", "2d", "2to3d", "three planes"],
)
def test_bfloat16_is_not_trusted_where_its_gradients_are_wrong(network, safe):
    """Two planes in a 3D convolution, on the CPU."""
    config = NetworkConfig(**network)
    assert bf16_is_safe(config, "cpu") is safe
    assert bf16_is_safe(config, "cuda")


def test_outputs_that_contradict_the_structures_are_refused():
    with pytest.raises(InputError, match="network.outputs 3 does not fit 1"):
        resolved(network={"outputs": 3}).network(["dna"])


def test_colonies_need_their_own_grid():
    with pytest.raises(InputError, match="model.voxel_size"):
        resolved(
            data={"simulated": {"colonies": 2}},
            model={"id": "x", "voxel_size": [0.5, 0.2, 0.2]},
        )


def test_patches_fit_into_the_smallest_stack():
    one = resolved()
    network = one.network(["dna"])
    pairs = [a_pair(0), a_pair(0, shape=(8, 300, 300))]
    recipe = patch_recipe(one, network, pairs)
    assert (recipe.depth, recipe.height, recipe.width) == (32, 40, 56)
    with pytest.raises(InputError, match="tiny has 4 pixels in y"):
        patch_recipe(one, network, [a_pair(0, shape=(8, 4, 60), name="tiny")])
    flat = Pair(np.zeros((1, 50, 40, 40)), [np.zeros((1, 40, 40))], (0,), name="deep")
    with pytest.raises(InputError, match="set network.depth to at least 50"):
        patch_recipe(one, network, [flat])


def test_a_folder_holds_one_training(tmp_path):
    def config(**changes):
        return make_config({**LEAST, **changes}, tmp_path)

    claim_folder(config(), ["dna"], owner=False)  # a second process only looks
    assert not (tmp_path / "run").exists()
    claim_folder(config(), ["dna", "zo1"])
    claim_folder(config(loss="l1"), ["dna", "zo1"])  # nothing has been learnt yet
    (tmp_path / "run" / "state.pt").touch()
    claim_folder(config(loss="l1", budget={"steps": 500}), ["dna", "zo1"])
    with pytest.raises(InputError, match="another loss and seed"):
        claim_folder(config(seed=3), ["dna", "zo1"])
    with pytest.raises(InputError, match="another structures"):
        claim_folder(config(loss="l1"), ["zo1", "dna"])


def test_a_folder_of_an_older_version_can_be_gone_on_with(tmp_path):
    """Fields that were added since have their defaults."""
    config = make_config({**LEAST, "data": {"simulated": {"colonies": 3}}}, tmp_path)
    claim_folder(config, ["dna"])
    file = tmp_path / "run" / "config.json"
    before = json.loads(file.read_text())
    del before["data"]["simulated"]["slots"]
    del before["recipe"]["clutter"]
    file.write_text(json.dumps(before))
    (tmp_path / "run" / "state.pt").touch()
    claim_folder(config, ["dna"])
    before["data"]["simulated"]["looks"] = 2
    file.write_text(json.dumps(before))
    with pytest.raises(InputError, match="another data"):
        claim_folder(config, ["dna"])


def options(folder, **changes):
    fields = {
        "id": "mine",
        "pairs": Pairs(path=folder / "pairs.csv"),
        "validation": Validation(by="x", gap=8, share=0.25),
    }
    return QuickOptions(**{**fields, **changes})


def test_every_kind_of_config_can_be_written_down(tmp_path):
    config = make_config(
        {
            "out": "run",
            "model": {"id": "both", "structures": ["dna"], "weights": "float16"},
            "network": {"backbone": "plain", "topology": "3d"},
            "data": {"simulated": {"fresh": True, "slots": 4}, "pairs": "pairs.csv"},
            "recipe": {"name": "paper", "batch": 2},
            "budget": {"steps": 10},
        },
        tmp_path,
    )
    out = tmp_path / "mine"
    quick = quick_config(
        options(
            out, name="My DNA", licence="CC0", minutes=5, ratios=(1, 4), patch=64,
            learning_rate=1e-4, loss="foreground", freeze_encoder=False,
        ),
        out,
    )  # fmt: skip
    file = tmp_path / "all.yaml"
    for one, folder in ((config, None), (quick, tmp_path)):
        file.write_text(config_text(one, folder), encoding="utf-8")
        assert read_config(file) == one
    assert str(tmp_path) not in file.read_text(encoding="utf-8")


def test_a_value_that_cannot_be_meant_is_named(tmp_path):
    with pytest.raises(InputError, match="id cannot be used"):
        quick_config(options(tmp_path, id="No Id!"), tmp_path)
    with pytest.raises(InputError, match=r"recipe|learning_rate"):
        quick_config(options(tmp_path, learning_rate=-1.0), tmp_path)


def begun(id_, log, done=False):
    """Leave what a training leaves that was stopped."""
    out = run_folder(id_)
    out.mkdir(parents=True)
    config = quick_config(options(out, id=id_), out)
    (out / "train.yaml").write_text(config_text(config, out), encoding="utf-8")
    (out / "state.pt").write_bytes(b"")
    (out / "log.jsonl").write_text(log, encoding="utf-8")
    if done:
        (out / f"{id_}.safetensors").write_bytes(b"")
    return out


def test_a_training_that_was_stopped_is_found_with_its_progress():
    assert unfinished_runs(run_folder("x").parent) == []
    out = begun(
        "halfway",
        '{"step": 0, "spent": 0, "r2": 0.1}\n'
        '{"step": 9, "spent": 300.0, "r2": 0.3}\n{"step": 12, "spe',
    )
    begun("done", "", done=True)
    (found,) = unfinished_runs(out.parent)
    assert found.folder == out
    assert found.share == pytest.approx(0.5)
    assert found.best == 0.3
    assert run_of(found.config) == found


def test_a_folder_without_a_state_is_no_training(tmp_path):
    assert unfinished_runs(tmp_path / "none") == []
    out = begun("damaged", "")
    (out / "train.yaml").write_text("out: [", encoding="utf-8")
    assert unfinished_runs(out.parent) == []


def test_ratios_and_rates_are_read_from_a_text():
    assert read_ratios("8, 1;2 4 ,") == (1, 2, 4, 8)
    assert read_ratios(write_ratios((1, 4))) == (1, 4)
    for wrong in (",", "1, 2.5", "0", "65", "two"):
        with pytest.raises(ValueError, match="whole numbers from 1 to 64"):
            read_ratios(wrong)
    assert read_rate("0,001") == read_rate("1e-3") == 0.001
    for wrong in ("0", "-1", "inf", "nan", "fast"):
        with pytest.raises(ValueError, match="a number above 0"):
            read_rate(wrong)
