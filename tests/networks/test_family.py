"""Every network that the table promises can be built, learns and predicts."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from lanes import sample
from napari_sparsessp.errors import InputError
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.networks.families import (
    CONDITIONINGS,
    FAMILIES,
    MAPPINGS,
    TOPOLOGIES,
)

SMALL = {
    "encoder_widths": (4, 8, 16),
    "encoder_blocks": (1, 1, 1),
    "decoder_widths": (4, 8),
    "groups": 4,
    "outputs": 2,
    "depth": 8,
    "folded_width": 16,
}


def combinations():
    for backbone in ("dod", "plain"):
        for topology, mapping, method in itertools.product(
            TOPOLOGIES, MAPPINGS, CONDITIONINGS
        ):
            if mapping != "none" or topology.endswith("2d") or topology == "2d":
                yield backbone, topology, mapping, method
    for topology in TOPOLOGIES:
        yield "slim", topology, "prefix", "multihead"
    yield "gvt", "3d", "prefix", "multihead"
    yield "fnet3d", "3d", "prefix", "multihead"


def small(backbone, topology, mapping="prefix", method="multihead", **more):
    ratio = 1 if mapping == "prefix" else 2
    if backbone == "slim":
        widths = (8, 8, 12) if topology.endswith("3d") else (8, 8, 8, 12)
        more |= {"decoder_widths": widths, "inputs": 1, "standardised": True}
    return NetworkConfig(
        backbone=backbone,
        topology=topology,
        mapping=mapping,
        conditioning=method,
        **{"ratio": ratio, **SMALL, **more},
    )


def toy(config):
    """Two structures: the stack's smooth part, and its negative, brighter."""
    torch.manual_seed(0)
    planes = config.planes
    x = F.interpolate(
        torch.randn(4, 1, 2, 4, 4), size=(planes, 16, 16), mode="trilinear"
    )
    dense = F.interpolate(x, size=(8, 16, 16), mode="trilinear")
    tasks = torch.tensor([0, 1, 1, 0])
    sign = torch.where(tasks == 0, 1.0, -1.0)[:, None, None, None, None]
    return x, dense * sign + 0.5 * (1 - sign), tasks


@pytest.mark.parametrize(
    ("backbone", "topology", "mapping", "method"), sample(combinations())
)
def test_ten_steps_lower_the_loss(backbone, topology, mapping, method):
    """With two structures mixed in each batch; every weight takes part."""
    config = small(backbone, topology, mapping, method)
    x, y, tasks = toy(config)
    network = build_network(config).train()
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(11):
        loss = (network(x, tasks=tasks) - y).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    unused = [name for name, p in network.named_parameters() if p.grad is None]
    assert unused == []
    assert losses[-1] < 0.9 * losses[0]
    network.eval()
    with torch.no_grad():
        every = network(x)
        mixed = network(x, tasks=tasks)
        second = network.decode(network.encode(x), [1])
    assert every.shape == (4, 2, 8, 16, 16)
    assert torch.isfinite(every).all()
    torch.testing.assert_close(every[torch.arange(4), tasks][:, None], mixed)
    torch.testing.assert_close(every[:, 1:], second)
    assert (every[:, 0] - every[:, 1]).abs().max() > 1e-3


@pytest.mark.parametrize(
    "more",
    [
        {"method": "multihead", "heads": "decoder"},
        {"method": "condnet", "task_code": "hash"},
        {"method": "condnet", "task_code": "learned"},
        {"method": "condnet", "task_where": "input"},
        {"method": "condnet", "task_where": "all"},
        {"method": "tgnet", "task_where": "all"},
        {"method": "dodnet", "mapping": "postfix", "postfix": "output"},
        {"method": "dodnet", "projection": "2d"},
        {"norm": "instance"},
        {"norm": "none", "standardised": True},
        {"inputs": 2},
        {"folded_width": 20},
    ],
    ids=lambda more: "-".join(map(str, more.values())),
)
@pytest.mark.parametrize("topology", ["3to2d", "2to3d"])
def test_every_variant_predicts_and_learns(more, topology):
    """Finite in, finite out, finite gradients."""
    config = small("dod", topology, **more)
    network = build_network(config)
    x = torch.randn(2, config.inputs, config.planes, 16, 16)
    y = network(x, tasks=torch.tensor([1, 0]))
    y.square().mean().backward()
    assert y.shape == (2, 1, 8, 16, 16)
    assert all(p.grad.isfinite().all() for p in network.parameters())
    network.bake()
    assert network.config.standardised is False


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"backbone": "plain", "topology": "3d", "mapping": "none"}, "2D decoder"),
        ({"backbone": "fnet", "conditioning": "dodnet"}, "multinet or multihead"),
        ({"backbone": "slim", "mapping": "none"}, "slim does not exist"),
        ({"conditioning": "dodnet"}, "slim does not exist"),
        ({"topology": "3d", "decoder_widths": (8, 8, 12, 16)}, "decoder_widths too"),
        ({"topology": "2to3d", "encoder_blocks": (1,)}, "decoder_widths too"),
        ({"topology": "2d", "decoder_widths": (8, 12)}, "one more"),
        ({"topology": "2to3d", "depth": 6}, "multiple of 8"),
        ({"topology": "3to2d", "folded_width": 6}, "not a multiple of 16"),
        ({"topology": "3d", "colour": "blue"}, "Extra inputs"),
        ({"topology": "3d", "ratio": 2}, "serves all ratios"),
        ({"backbone": "resnet50"}, "resnet18"),
        ({"backbone": "gvt", "topology": "2d"}, "choose 3d"),
        ({"backbone": "gvt", "norm": "group"}, "gvt has norm batch alone"),
        ({"backbone": "gvt", "decoder_widths": (8, 8, 8)}, "alone; leave it out"),
        ({"backbone": "gvt", "depth": 12}, "multiple of 8"),
        ({"backbone": "resnet18", "tokens": 16}, "no tokens to choose"),
        ({"backbone": "vit_b", "tokens": 1}, "tokens"),
        ({"backbone": "dod", "projection": "code"}, "no projection code"),
        ({"backbone": "plain", "projection": "code"}, "conditioning repmode"),
        ({"backbone": "plain", "topology": "3d", "ratio": 2}, "serves all ratios"),
        ({"backbone": "vit_b", "topology": "3d"}, "2d or 2to3d"),
        ({"backbone": "dod", "folded_width": 16}, "smaller than the 32 planes"),
        ({"backbone": "dod", "mapping": "none", "ratio": 3}, "not a multiple"),
        ({"backbone": "dod", "decoder_widths": (8,)}, "one entry less"),
        ({"backbone": "dod", "encoder_blocks": (1,)}, "encoder_blocks"),
        (
            {"backbone": "dod", "conditioning": "tgnet", "task_where": "input"},
            "decoder or all",
        ),
        (
            {"backbone": "dod", "conditioning": "repmode", "standardised": True},
            "not standardised",
        ),
        ({"backbone": "fnet3d", "norm": "group"}, "leave out what says"),
        ({"backbone": "fnet3d", "depth": 24}, "not a multiple of 16"),
        ({"backbone": "fnet3d", "decoder_widths": (8,)}, "leave them out"),
        (
            {"backbone": "plain", "conditioning": "condnet", "norm": "instance"},
            "all structures would be one",
        ),
        (
            {
                "backbone": "dod",
                "conditioning": "condnet",
                "decoder_widths": (16, 16, 16, 16),
            },
            "all structures would be one",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_exist_is_explained(changes, says):
    """One error, which names what would work."""
    with pytest.raises(ValidationError, match=says):
        NetworkConfig(**changes)


@pytest.mark.parametrize("backbone", FAMILIES)
def test_a_family_alone_is_a_whole_description(backbone):
    """Everything else has the published value."""
    config = NetworkConfig(backbone=backbone)
    assert NetworkConfig.model_validate(config.model_dump(mode="json")) == config
    assert config.topology in FAMILIES[backbone].topologies


@pytest.mark.parametrize("interpolation", ["hold", "nearest", "linear"])
def test_a_prefix_network_takes_sparse_planes(interpolation):
    """D/r planes give what the interpolated stack gives, for every whole r."""
    from napari_sparsessp.sparse import SparseView

    network = build_network(small("plain", "3to2d", interpolation=interpolation)).eval()
    planes = torch.randn(2, 16, 16)
    dense = SparseView.from_ratio(2, 4).to_dense(planes.numpy(), interpolation)
    with torch.no_grad():
        sparse = network(planes[None, None])
        torch.testing.assert_close(sparse, network(torch.tensor(dense)[None, None]))


@pytest.mark.parametrize(
    "method", ["multinet", "multihead", "dodnet", "tsn", "repmode"]
)
@pytest.mark.parametrize("structures", [[2], [-1], []], ids=["beyond", "below", "none"])
def test_a_structure_that_does_not_exist_is_refused(method, structures):
    """Not predicted from an empty code, which would look like a prediction."""
    network = build_network(small("plain", "2d", method=method)).eval()
    x = torch.zeros(1, 1, 8, 16, 16)
    with pytest.raises(InputError, match="from 0 to 1"):
        network(x, structures)
    if structures:
        with pytest.raises(InputError, match="from 0 to 1"):
            network(x, tasks=torch.tensor(structures))
