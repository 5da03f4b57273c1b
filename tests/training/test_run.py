"""A training that is stopped keeps its best state, and can go on."""

import numpy as np
import pytest
import torch

from napari_sparsessp.errors import InputError
from napari_sparsessp.models.library import load_model
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.tasks import Cancelled
from napari_sparsessp.training.checkpoints import RunFolder
from napari_sparsessp.training.config import Pairs, Validation
from napari_sparsessp.training.data import TrainingData, split_pairs
from napari_sparsessp.training.patches import Pair
from napari_sparsessp.training.resolve import QuickOptions, quick_config, resolve_config
from napari_sparsessp.training.run import (
    freeze_encoder,
    run_training,
    transfer,
    write_best,
)
from thin import save_thin

CUT = Validation(by="x", share=0.3, gap=4)


@pytest.fixture
def resolved(tmp_path):
    """Fine-tunes the thin model on the CPU, 40 steps."""
    source = save_thin(tmp_path / "thin.safetensors")
    options = QuickOptions(
        "mine", Pairs(path=tmp_path / "pairs.csv"), CUT, source=str(source),
        device="cpu", patch=16, ratios=(1,), learning_rate=0.02, freeze_encoder=False,
    )  # fmt: skip
    config = quick_config(options, tmp_path / "run")
    budget = config.budget.model_copy(
        update={"minutes": None, "steps": 40, "save_minutes": None, "save_steps": 10}
    )
    recipe = config.recipe.model_copy(
        update={"precision": "fp32", "noise": None, "tilt": 0.0, "clutter": 0.0}
    )
    return resolve_config(
        config.model_copy(update={"budget": budget, "recipe": recipe})
    )


@pytest.fixture
def stacks():
    """Light that shows the structure as it is."""
    rng = np.random.default_rng(0)
    rough = rng.normal(size=(12, 32, 64)).cumsum(1).cumsum(2)
    look = ((rough - rough.mean()) / rough.std()).astype(np.float16)
    pair = Pair(look[None], [look], (0,), name="crop", digest="a" * 64)
    training, validation = split_pairs([pair], CUT)
    return TrainingData(("dna",), training, validation, ["One crop."])


def test_a_few_steps_on_a_tiny_pair_teach(resolved, stacks):
    """The loss falls, the score rises, and the card says from where to where."""
    statuses, shown = [], []
    path = run_training(resolved, stacks, statuses.append, show=shown.append)
    losses = [one.loss for one in statuses if np.isfinite(one.loss)]
    assert losses[-1] < 0.8 * losses[0]
    card = load_model(path).card
    score = card.scores["validation"]
    assert (score["data"], card.training_images) == ("real", ("a" * 64,))
    assert score["r2"] > score["r2_before_training"] + 0.1
    assert "beyond a gap of 4 pixels" in score["on"]
    assert any("Trained on one stack only (12×32×" in one for one in card.limits)
    # Once before the first step, and at each validation.
    assert len(shown) == 5
    before, after = (
        np.mean((one.prediction - one.truth) ** 2) for one in (shown[0], shown[-1])
    )
    assert after < before


def test_stopping_takes_one_step_and_the_best_can_be_kept(resolved, stacks):
    statuses = []

    def cancel(done, total=None, what=""):
        if statuses and statuses[-1].step >= 12:
            raise Cancelled

    with pytest.raises(Cancelled):
        run_training(resolved, stacks, statuses.append, cancel)
    assert statuses[-1].step == 13
    path = write_best(resolved, stacks)
    card = load_model(path).card
    assert card.id == "mine"
    assert card.scores["validation"]["step"] in (0, 10)
    assert "13 steps" in card.trained_on
    # And it can go on to its end.
    more = []
    assert run_training(resolved, stacks, more.append) == path
    assert more[0].step == 14


def test_a_validation_is_cut_short_too(resolved, stacks):
    """Of large stacks it takes minutes; it leaves no score, and no best state."""

    def cancel(*_):
        raise Cancelled

    with pytest.raises(Cancelled):
        run_training(resolved, stacks, progress=cancel)
    files = RunFolder(resolved.config.out)
    assert files.best() is None
    assert all(one.get("r2") is None for one in files.entries())


def test_without_a_state_there_is_nothing_to_keep(resolved, stacks):
    with pytest.raises(InputError, match="no state of a training yet"):
        write_best(resolved, stacks)


SMALL = {
    "backbone": "dod", "depth": 8, "encoder_widths": (4, 8), "encoder_blocks": (1, 1),
    "decoder_widths": (4,), "folded_width": 8, "groups": 2,
}  # fmt: skip
KNOWN = ("dna", "golgi_apparatus", "zo1")
KINDS = [
    {"conditioning": "multihead"},
    {"conditioning": "multihead", "heads": "decoder"},
    {"conditioning": "dodnet"},
    {"conditioning": "condnet"},
    {"conditioning": "condnet", "task_where": "input"},
    {"conditioning": "tgnet"},
    {"conditioning": "tsn"},
    {"conditioning": "repmode", "backbone": "plain"},
    {"conditioning": "multinet"},
    {"conditioning": "multihead", "backbone": "slim", "decoder_widths": (8, 8, 12)},
    {"conditioning": "multihead", "backbone": "gvt"},
]


def pair_of(kind, wanted):
    """A model that knows three structures, and a network for others."""
    torch.manual_seed(0)
    fields = {**SMALL, **kind}
    source = build_network(NetworkConfig.model_validate({**fields, "outputs": 3}))
    new = {**fields, "outputs": len(wanted)}
    network = build_network(NetworkConfig.model_validate(new))
    transfer(source, KNOWN, network, wanted)
    return source.eval(), network.eval()


@pytest.mark.parametrize(
    "kind", KINDS, ids=lambda kind: "-".join(map(str, kind.values()))
)
@pytest.mark.parametrize(
    "wanted",
    [KNOWN, ("zo1", "dna"), ("new", "zo1", "dna", "golgi_apparatus")],
    ids=["same", "fewer", "more"],
)  # fmt: skip
def test_known_structures_are_predicted_as_before(kind, wanted):
    if kind["conditioning"] == "tsn" and wanted != KNOWN:
        with pytest.raises(InputError, match="a tsn network cannot change"):
            pair_of(kind, wanted)
        return
    source, network = pair_of(kind, wanted)
    x = torch.randn(1, source.config.inputs, 8, 16, 16)
    with torch.inference_mode():
        before, after = source(x), network(x)
    for index, name in enumerate(wanted):
        if name in KNOWN:
            expected = before[:, KNOWN.index(name)]
            torch.testing.assert_close(after[:, index], expected)


@pytest.mark.parametrize(
    "kind", KINDS, ids=lambda kind: "-".join(map(str, kind.values()))
)
def test_a_frozen_encoder_is_all_that_is_frozen(kind):
    _, network = pair_of(kind, KNOWN)
    freeze_encoder(network)
    frozen = {n for n, p in network.named_parameters() if not p.requires_grad}
    assert frozen
    assert not any(
        word in name for name in frozen for word in ("decoder", "head", "transform")
    )
    learning = {n for n, p in network.named_parameters() if p.requires_grad}
    assert not any("encoder." in f"{name}." for name in learning)
