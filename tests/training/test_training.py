"""Patches as the network will meet them, and a loop that learns and resumes."""

import json

import numpy as np
import pytest
import torch

from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.training.loop import TrainingPlan, learning_rate, train
from napari_sparsessp.training.patches import (
    Pair,
    PatchRecipe,
    cut_patch,
    patch_batches,
)

TINY = NetworkConfig(
    outputs=2,
    depth=8,
    encoder_widths=(4, 8),
    encoder_blocks=(1, 1),
    decoder_widths=(8, 8, 12),
    folded_width=8,
    standardised=True,
)
RECIPE = PatchRecipe(
    depth=8, height=16, width=24, noise=(1e-6, 2e-6), gain=0, tilt=0, clutter=0
)


@pytest.fixture(scope="module")
def pair():
    """A look and two targets that follow from it."""
    rng = np.random.default_rng(0)
    look = rng.normal(size=(1, 12, 40, 40)).astype(np.float16)
    return Pair(look, np.concatenate([look, -look]))


def test_patches_have_the_recipe_s_shape(pair):
    """Turned ones too, where the patch is square."""
    square = PatchRecipe(depth=8, height=16, width=16)
    for seed in range(8):
        source, target = cut_patch(pair, square, np.random.default_rng(seed))
        assert source.shape == (2, 8, 16, 16)
        assert target.shape == (2, 8, 16, 16)


def test_input_and_target_stay_in_register(pair):
    """At ratio 1 without noise the input is the target, however it is turned."""
    dense = PatchRecipe(
        depth=8, height=16, width=16, ratios=(1,), noise=(1e-6, 2e-6), gain=0,
        tilt=0, clutter=0, thin=0,
    )  # fmt: skip
    for seed in range(10):
        source, target = cut_patch(pair, dense, np.random.default_rng(seed))
        # The spectrum's zero tilt is an FFT and back: rounding only.
        torch.testing.assert_close(source[0], target[0], atol=2e-3, rtol=0)
        assert source[1].abs().max() == 0


def test_all_ratios_and_phases_occur(pair):
    """The second channel tells how far the measured planes are."""
    reach = set()
    for seed in range(60):
        recipe = PatchRecipe(depth=8, height=16, width=16, thin=0)
        source, _ = cut_patch(pair, recipe, np.random.default_rng(seed))
        reach.add(float(source[1].abs().max()))
    assert 0.0 in reach
    assert max(reach) >= 1.0
    assert len(reach) >= 4


def test_batches_are_the_same_for_the_same_seed(pair):
    """A thread cuts them, the order stays."""
    recipe = PatchRecipe(depth=8, height=16, width=16)
    first = patch_batches([pair], recipe, 2, seed=4)
    second = patch_batches([pair], recipe, 2, seed=4)
    for _ in range(3):
        one, other = next(first), next(second)
        torch.testing.assert_close(one[0], other[0])
    first.close()
    second.close()


def test_learning_rate_warms_up_and_falls_to_zero():
    """Peak after the warm-up."""
    plan = TrainingPlan(minutes=1, learning_rate=1.0, warm_up=0.1)
    assert learning_rate(plan, 0.0) < 0.05
    assert learning_rate(plan, 0.1) == pytest.approx(1.0)
    assert learning_rate(plan, 0.55) == pytest.approx(0.5)
    assert learning_rate(plan, 1.0) == pytest.approx(0.0)


def test_training_learns_and_continues_where_it_stopped(pair, tmp_path):
    """Falling loss; a second call with more time goes on counting."""
    torch.manual_seed(0)
    recipe = PatchRecipe(
        depth=8, height=16, width=16, ratios=(1,), noise=(0.01, 0.02), tilt=0, clutter=0
    )

    def go(steps):
        plan = TrainingPlan(
            0, steps, batch=2, learning_rate=4e-3, warm_up=0.1, precision="fp32"
        )
        train(
            build_network(TINY), build_network(TINY), [pair], recipe, plan, tmp_path,
            validate=lambda network: {"checked": 1.0},
        )  # fmt: skip
        text = (tmp_path / "log.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    first = go(60)
    assert first[-1]["step"] == 60
    assert first[-1]["checked"] == 1.0
    second = go(160)
    assert len(second) == 2
    assert second[-1]["step"] == 160
    assert second[-1]["loss"] < 0.9 * first[-1]["loss"]
