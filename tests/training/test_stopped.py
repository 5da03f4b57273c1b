"""A training that is stopped keeps its best state, and can go on."""

import numpy as np
import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.models.library import load_model
from napari_sparsessp.training.config import Pairs, Validation
from napari_sparsessp.training.patches import Pair
from napari_sparsessp.training.quick import Wish, quick_config
from napari_sparsessp.training.run import Stacks, run_training, write_best
from napari_sparsessp.training.setup import make_setup
from napari_sparsessp.training.splitting import split_pairs
from napari_sparsessp.training.state import RunFolder
from thin import save_thin

CUT = Validation(by="x", share=0.3, gap=4)


@pytest.fixture
def setup(tmp_path):
    """Fine-tunes the thin model on the CPU, 40 steps."""
    source = save_thin(tmp_path / "thin.safetensors")
    wish = Wish(
        "mine", Pairs(path=tmp_path / "pairs.csv"), CUT, source=str(source),
        device="cpu", patch=16, ratios=(1,), learning_rate=0.02, freeze_encoder=False,
    )  # fmt: skip
    config = quick_config(wish, tmp_path / "run")
    budget = config.budget.model_copy(
        update={"minutes": None, "steps": 40, "save_minutes": None, "save_steps": 10}
    )
    recipe = config.recipe.model_copy(
        update={"precision": "fp32", "noise": None, "tilt": 0.0, "clutter": 0.0}
    )
    return make_setup(config.model_copy(update={"budget": budget, "recipe": recipe}))


@pytest.fixture
def stacks():
    """Light that shows the structure as it is."""
    rng = np.random.default_rng(0)
    rough = rng.normal(size=(12, 32, 64)).cumsum(1).cumsum(2)
    look = ((rough - rough.mean()) / rough.std()).astype(np.float16)
    pair = Pair(look[None], [look], (0,), name="crop")
    training, validation = split_pairs([pair], [""], CUT)
    return Stacks(("dna",), training, validation, ["One crop."])


def test_a_few_steps_on_a_tiny_pair_teach(setup, stacks):
    """The loss falls, the score rises, and the card says from where to where."""
    told, shown = [], []
    path = run_training(setup, stacks, told.append, show=shown.append)
    losses = [one.loss for one in told if np.isfinite(one.loss)]
    assert losses[-1] < 0.8 * losses[0]
    card = load_model(path).card
    score = card.scores["validation"]
    assert score["r2"] > score["r2_before_training"] + 0.1
    assert "beyond a gap of 4 pixels" in score["on"]
    assert any("learned from one stack (12×32×" in one for one in card.limits)
    # Once before the first step, and at each validation.
    assert len(shown) == 5
    before, after = (
        np.mean((one.prediction - one.truth) ** 2) for one in (shown[0], shown[-1])
    )
    assert after < before


def test_stopping_takes_one_step_and_the_best_can_be_kept(setup, stacks):
    told = []

    def stop():
        return bool(told) and told[-1].step >= 12

    assert run_training(setup, stacks, told.append, stop) is None
    assert told[-1].step == 13
    path = write_best(setup, stacks)
    card = load_model(path).card
    assert card.id == "mine"
    assert card.scores["validation"]["step"] in (0, 10)
    assert "13 steps" in card.trained_on
    # And it can go on to its end.
    more = []
    assert run_training(setup, stacks, more.append) == path
    assert more[0].step == 14


def test_a_validation_is_cut_short_too(setup, stacks):
    """Of large stacks it takes minutes; it leaves no score, and no best state."""
    assert run_training(setup, stacks, stop=lambda: True) is None
    files = RunFolder(setup.config.out)
    assert files.best() is None
    assert all(one.get("r2") is None for one in files.entries())


def test_without_a_state_there_is_nothing_to_keep(setup, stacks):
    with pytest.raises(InputError, match="no state of a training yet"):
        write_best(setup, stacks)
