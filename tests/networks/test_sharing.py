"""What structures share is computed once, and no sample gets another's structure."""

from itertools import product

import pytest
import torch

from lanes import sample
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.networks.families import (
    CONDITIONINGS,
)

T = 12


def tiny(conditioning, topology="3to2d", **changes):
    """A small network whose structures differ much, in evaluation mode."""
    torch.manual_seed(0)
    options = {
        "backbone": "plain",
        "topology": topology,
        "conditioning": conditioning,
        "outputs": T,
        "depth": 8,
        "encoder_widths": (4, 4, 8, 8, 8),
        "decoder_widths": (4, 4, 4, 8),
        "folded_width": 16,
    }
    network = build_network(NetworkConfig(**options | changes)).eval()
    with torch.no_grad():  # fresh norms and gates would treat all alike
        for name, value in network.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif value.is_floating_point() and value.ndim <= 2:
                value.add_(0.3 * torch.randn_like(value))
    return network


def stack(batch, planes=8):
    torch.manual_seed(1)
    return torch.randn(batch, 1, planes, 32, 32)


@pytest.mark.parametrize(
    "options",
    [
        {"topology": "3d"},
        {"topology": "2d"},
        {"topology": "2to3d"},
        {"topology": "3to2d"},
        {"topology": "3to2d", "mapping": "none", "ratio": 2},
        {"topology": "3d", "mapping": "postfix", "ratio": 2},
        {"topology": "3to2d", "mapping": "postfix", "ratio": 2},
        {"topology": "3to2d", "backbone": "dod", "norm": "group"},
    ],
    ids=lambda options: "-".join(str(v) for v in options.values()),
)
def test_dodnet_gives_twelve_structures_from_one_trunk_pass(options):
    """Models.md 10: equal to twelve forward passes of their own."""
    network = tiny("dodnet", **options)
    x = stack(2, network.config.planes)
    passes = []
    for part in (network.encoder, network.decoder):
        part.register_forward_hook(lambda module, *_: passes.append(module))
    with torch.no_grad():
        together = network(x)
        assert passes == [network.encoder, network.decoder]
        for one in range(T):
            alone = network(x, structures=[one])
            torch.testing.assert_close(
                together[:, one : one + 1], alone, atol=1e-5, rtol=1e-5
            )
    assert together.shape == (2, T, 8, 32, 32)


def test_dodnet_writes_its_head_for_the_image_too():
    """A different bottleneck gives a different head, whatever the last feature."""
    network = tiny("dodnet")
    features = network.encode(stack(1))
    other = type(features)(features.view, features.levels, features.context + 1)
    with torch.no_grad():
        assert not torch.allclose(network.decode(features), network.decode(other))


@pytest.mark.parametrize(
    ("conditioning", "topology"),
    sample(product(CONDITIONINGS, ["3d", "3to2d", "2d", "2to3d"]), together=1),
)
def test_samples_of_one_batch_become_structures_of_their_own(conditioning, topology):
    """The released code takes the first sample's structure for all (models.md 1.7)."""
    network = tiny(conditioning, topology)
    x = stack(1).expand(4, -1, -1, -1, -1)
    tasks = torch.tensor([3, 0, 3, 7])
    with torch.no_grad():
        mixed = network(x, tasks=tasks)
        alone = [network(x[:1], structures=[int(one)]) for one in tasks]
    assert mixed.shape == (4, 1, 8, 32, 32)
    scale = float(mixed.std())
    # Instance norms enlarge what rounding differs by between batch sizes.
    torch.testing.assert_close(mixed, torch.cat(alone), atol=1e-4 * scale, rtol=1e-4)
    for one, other in ((0, 1), (1, 3), (0, 3)):
        assert (mixed[one] - mixed[other]).abs().max() > 0.01 * scale
