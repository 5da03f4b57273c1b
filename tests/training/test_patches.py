"""Patches as the network will meet them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sparsessp.training.patches import Pair, PatchRecipe, cut_patch

WILD = PatchRecipe(depth=8, height=16, width=16)


def test_patches_have_the_recipe_s_shape(pair):
    for seed in range(8):
        patch = cut_patch(pair, WILD, np.random.default_rng(seed))
        assert patch.source.shape == (2, 8, 16, 16)
        assert patch.target.shape == (2, 8, 16, 16)
        assert patch.labels == (0, 1)


@pytest.mark.parametrize("turns", ["dihedral", "flips", "none"])
def test_input_and_target_stay_in_register(pair, plain, turns):
    """At ratio 1 without noise the input is the target, however it is turned."""
    for seed in range(10):
        recipe = replace(plain, turns=turns)
        patch = cut_patch(pair, recipe, np.random.default_rng(seed))
        torch.testing.assert_close(patch.source[0], patch.target[0])
        assert patch.source[1].abs().max() == 0


def test_all_ratios_and_phases_occur(pair):
    """The second channel tells how far the measured planes are."""
    reach = set()
    for seed in range(60):
        patch = cut_patch(pair, replace(WILD, thin=0), np.random.default_rng(seed))
        reach.add(float(patch.source[1].abs().max()))
    assert 0.0 in reach
    assert max(reach) >= 1.0
    assert len(reach) >= 4


def test_the_paper_measures_every_rth_plane_of_the_flipped_patch(pair, plain):
    """Phase 0 of what the network sees, mirrored in z or not."""
    recipe = replace(
        plain, turns="flips", ratios=(4,), random_phase=False, interpolation="hold"
    )
    for seed in range(8):
        patch = cut_patch(pair, recipe, np.random.default_rng(seed))
        for plane in range(8):
            expected = patch.target[0, plane // 4 * 4]
            torch.testing.assert_close(patch.source[0, plane], expected)


def test_a_network_of_a_ratio_gets_its_planes(pair, plain):
    recipe = replace(plain, ratios=(4,), every=4, inputs=1, random_phase=False)
    patch = cut_patch(pair, recipe, np.random.default_rng(3))
    assert patch.source.shape == (1, 2, 16, 16)
    torch.testing.assert_close(patch.source[0], patch.target[0, ::4])


def test_a_thin_stack_lies_in_the_middle_and_only_its_planes_count(plain):
    look = np.arange(5, dtype=np.float32)[None, :, None, None] * np.ones((20, 20))
    patch = cut_patch(Pair(look, look), plain, np.random.default_rng(0))
    assert patch.weight[0, :, 0, 0].tolist() == [0, 1, 1, 1, 1, 1, 0, 0]
    assert patch.source[0, :, 0, 0].tolist() == [0, 0, 1, 2, 3, 4, 4, 4]
    assert (patch.source[1, :, 0, 0] * 4).tolist() == [-1, 0, 0, 0, 0, 0, 1, 2]


def test_masks_and_projections_go_along(plain):
    look = np.random.default_rng(0).normal(size=(1, 8, 16, 16)).astype(np.float32)
    mask = np.zeros((1, 16, 16), bool)
    mask[:, :4] = True
    flat = look.max(1)
    one = Pair(look, [look[0], flat], (3, 5), [mask, None])
    patch = cut_patch(one, replace(plain, turns="none"), np.random.default_rng(0))
    assert patch.labels == (3, 5)
    assert patch.projected.tolist() == [False, True]
    assert patch.weight[0].sum() == 8 * 4 * 16
    assert patch.weight[1].min() == 1
    for plane in patch.target[1]:
        torch.testing.assert_close(plane, torch.from_numpy(flat[0]))
