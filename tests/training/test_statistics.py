"""Statistics of batch norms for averaged weights."""

import torch
from torch import nn

from napari_sparsessp.training.loop import update_norms
from napari_sparsessp.training.patches import Batch

CPU = torch.device("cpu")


class _Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x, tasks=None):
        return self.norm(self.conv(x))


def source_of(batch):
    return batch.source


def _passes(count=5):
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        source = 3 + torch.randn(4, 1, 8, 8, generator=generator)
        yield Batch(source, source, source, source, None)


def test_every_pass_counts_the_same():
    """The mean is that of all passes together, whatever was there before."""
    network = _Net()
    network.norm.running_mean.fill_(100.0)
    update_norms(network, _passes(), CPU)
    seen = torch.cat([network.conv(x) for x in map(source_of, _passes())])
    torch.testing.assert_close(
        network.norm.running_mean, seen.mean((0, 2, 3)).detach(), rtol=1e-4, atol=1e-4
    )
    assert network.norm.momentum == 0.1
    assert not network.training
    assert not network.norm.training


def test_averaged_weights_come_out_standardised():
    """Weights that moved get the statistics of where they are now."""
    network = _Net()
    update_norms(network, _passes(), CPU)
    with torch.no_grad():
        network.conv.weight.mul_(7.0)
    x = torch.cat(list(map(source_of, _passes())))
    assert float(network(x).detach().std()) > 3
    update_norms(network, _passes(), CPU)
    assert abs(float(network(x).detach().std()) - 1) < 0.05


def test_frozen_norms_keep_their_statistics():
    """And passes are not even asked for where there is nothing to measure."""
    network = _Net()
    for weight in network.norm.parameters():
        weight.requires_grad_(False)
    before = network.norm.running_mean.clone()

    def never():
        raise AssertionError
        yield

    update_norms(network, never(), CPU)
    assert torch.equal(network.norm.running_mean, before)
