"""Losses count what is labelled and nothing else."""

import pytest
import torch

from napari_sparsessp.training.losses import make_loss, ms_ssim, project

NAMES = ["mse", "l1", "l1_msssim", "foreground"]


@pytest.fixture
def target():
    torch.manual_seed(0)
    return torch.randn(2, 3, 4, 32, 32)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_labelled_does_not_count(name, target):
    """Neither a whole structure nor a masked region."""
    loss = make_loss(name)
    weight = torch.ones_like(target)
    weight[0, 1] = 0
    weight[:, :, :, :8] = 0
    prediction = (target + 0.3 * torch.randn_like(target)).requires_grad_()
    loss(prediction, target, weight).backward()
    assert prediction.grad[weight == 0].abs().max() == 0
    assert prediction.grad[weight > 0].abs().max() > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_is_better_than_anything_else(name, target):
    loss = make_loss(name)
    weight = torch.ones(2, 3, 4, 1, 1)
    perfect = loss(target, target, weight)
    assert loss(target + 0.5 * torch.randn_like(target), target, weight) > perfect
    nothing = loss(torch.zeros_like(target), target, weight)
    assert nothing > perfect
    if name == "mse":
        torch.testing.assert_close(nothing, target.square().mean())
    assert loss(torch.zeros_like(target), target, 0 * weight) == 0


def test_foreground_counts_more_than_its_voxels(target):
    """Missing a small bright object costs more than the same error elsewhere."""
    truth = torch.zeros_like(target)
    truth[..., :4, :4] = 3
    weight = torch.ones(2, 3, 4, 1, 1)
    missed = torch.zeros_like(target)
    elsewhere = truth.clone()
    elsewhere[..., -4:, -4:] = -3
    loss = make_loss("foreground")
    assert loss(missed, truth, weight) > 2 * loss(elsewhere, truth, weight)


def test_ms_ssim_is_one_for_the_same_and_falls_with_noise(target):
    same = ms_ssim(target, target)
    torch.testing.assert_close(same, torch.ones(2, 3))
    little = ms_ssim(target + 0.3 * torch.randn_like(target), target)
    much = ms_ssim(target + 2 * torch.randn_like(target), target)
    assert (little < same).all()
    assert (much < little).all()


@pytest.mark.parametrize("how", ["mean", "max"])
def test_projections_are_of_the_planes_that_are_there(target, how):
    weight = torch.ones(2, 3, 4, 1, 1)
    weight[:, :, 3] = 0
    projected = torch.zeros(2, 3, dtype=torch.bool)
    projected[1, 2] = True
    result = project(target, weight, projected, how)
    seen = target[1, 2, :3]
    expected = seen.mean(0) if how == "mean" else seen.amax(0)
    torch.testing.assert_close(result[1, 2], expected.expand(4, -1, -1))
    assert torch.equal(result[0], target[0])
