"""Statistics of batch norms for averaged weights."""

import torch
from torch import nn

from napari_sparsessp.training.loop import batch_norms, restate_norms


class _Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x, tasks=None):
        return self.norm(self.conv(x))


def _passes(count=5):
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        yield 3 + torch.randn(4, 1, 8, 8, generator=generator), None


def test_every_pass_counts_the_same():
    """The mean is that of all passes together, whatever was there before."""
    network = _Net()
    network.norm.running_mean.fill_(100.0)
    restate_norms(network, _passes())
    seen = torch.cat([network.conv(x) for x, _ in _passes()])
    torch.testing.assert_close(
        network.norm.running_mean, seen.mean((0, 2, 3)).detach(), rtol=1e-4, atol=1e-4
    )
    assert network.norm.momentum == 0.1
    assert not network.training
    assert not network.norm.training


def test_averaged_weights_come_out_standardised():
    """Weights that moved get the statistics of where they are now."""
    network = _Net()
    restate_norms(network, _passes())
    with torch.no_grad():
        network.conv.weight.mul_(7.0)
    x = torch.cat([one for one, _ in _passes()])
    assert float(network(x).detach().std()) > 3
    restate_norms(network, _passes())
    assert abs(float(network(x).detach().std()) - 1) < 0.05


def test_frozen_norms_keep_their_statistics():
    """And passes are not even asked for where there is nothing to measure."""
    network = _Net()
    for weight in network.norm.parameters():
        weight.requires_grad_(False)
    assert batch_norms(network) == []
    before = network.norm.running_mean.clone()

    def never():
        raise AssertionError
        yield

    restate_norms(network, never())
    assert torch.equal(network.norm.running_mean, before)
