"""RepMode's experts are one kernel, and its batch norm is part of it."""

import copy
import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lanes import EXHAUSTIVE
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.networks.conditioning import ExpertConvolution, Task
from napari_sparsessp.networks.unet import merge

CONVOLVE = {2: F.conv2d, 3: F.conv3d}
POOL = {2: F.avg_pool2d, 3: F.avg_pool3d}


def branches(layer, x, task):
    """The five experts as the paper draws them, one after another, then mixed."""
    convolve, pool = CONVOLVE[layer.dimension], POOL[layer.dimension]
    outputs = [
        convolve(x, layer.get_parameter(f"expert_{k}"), padding=k // 2)
        for k in layer.sizes
    ]
    outputs += [
        convolve(
            pool(x, k, stride=1, padding=k // 2, count_include_pad=True),
            layer.get_parameter(f"pool_{k}"),
        )
        for k in layer.pools
    ]
    logits = layer.gate(F.one_hot(torch.tensor(task), layer.tasks).float())
    shares = logits.view(len(outputs), -1).softmax(0)
    shares = shares.view(*shares.shape, *[1] * layer.dimension)
    return sum(g * y for g, y in zip(shares, outputs, strict=True))


@given(
    dimension=st.sampled_from([2, 3]),
    kernel=st.sampled_from([3, 5]),
    inputs=st.integers(1, 4),
    outputs=st.integers(1, 4),
    task=st.integers(0, 2),
    size=st.integers(5, 8),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_the_merged_kernel_is_the_mixture_of_the_branches(
    dimension, kernel, inputs, outputs, task, size, seed
):
    """Models.md 3.6, borders included."""
    torch.manual_seed(seed)
    layer = ExpertConvolution(dimension, inputs, outputs, kernel, tasks=3)
    layer.gate.weight.data.normal_()
    x = torch.randn(2, inputs, *[size] * dimension)
    index = torch.full((2,), task)
    with torch.no_grad():
        merged = layer(x, Task(index, F.one_hot(index, 3).float(), task))
        torch.testing.assert_close(
            merged, branches(layer, x, task), atol=1e-4, rtol=1e-4
        )


NETWORKS = {
    "3d": {"topology": "3d"},
    "2d": {"topology": "2d"},
    "2to3d": {"topology": "2to3d"},
    "3to2d": {"topology": "3to2d"},
    "released": {
        "topology": "3to2d",
        "projection": "code",
        "kernel": 5,
        "decoder_widths": (6, 6, 8, 8),
    },
    "none": {"topology": "3to2d", "mapping": "none", "ratio": 2},
    "postfix": {"topology": "3to2d", "mapping": "postfix", "ratio": 2},
    "postfix output": {
        "topology": "3d",
        "mapping": "postfix",
        "ratio": 2,
        "postfix": "output",
    },
    "instance": {"topology": "3to2d", "norm": "instance"},
    "dod": {"backbone": "dod", "topology": "3to2d", "norm": "group"},
    "dod batch": {"backbone": "dod", "topology": "3d", "norm": "batch"},
    "biased": {"topology": "3d", "bias": True},
}


@pytest.fixture(params=NETWORKS)
def network(request):
    """A small network with the statistics that training would leave."""
    torch.manual_seed(0)
    options = {
        "backbone": "plain",
        "conditioning": "repmode",
        "outputs": 3,
        "depth": 8,
        "encoder_widths": (4, 4, 8, 8, 8),
        "decoder_widths": (4, 4, 4, 8),
        "folded_width": 16,
    }
    made = build_network(NetworkConfig(**options | NETWORKS[request.param])).eval()
    with torch.no_grad():
        for name, value in made.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif "norm" in name and value.is_floating_point():
                value.add_(0.3 * torch.randn_like(value))
            elif "gate" in name:
                value.normal_()
    return made


def stack(network):
    torch.manual_seed(1)
    return torch.randn(2, 1, network.config.planes, 32, 16)


def as_trained(network, x, task):
    """In evaluation mode with gradients on, experts and norms run one by one."""
    with torch.enable_grad():
        return network(x, structures=[task]).detach()


def test_a_merged_network_is_the_network_of_its_structure(network):
    """Experts merged and batch norm folded: models.md 10."""
    x = stack(network)
    for task in range(3):
        twin = merge(network, task)
        assert twin.config.conditioning != "repmode"
        normed = any("running_mean" in name for name in twin.state_dict())
        kind = network.config
        assert normed == (kind.backbone == "dod" and kind.norm == "batch")
        with torch.no_grad():
            merged = twin(x)
        expected = as_trained(network, x, task)
        limit = 1e-4 * float(expected.abs().max())
        torch.testing.assert_close(merged, expected, atol=limit, rtol=0)


def test_prediction_uses_merged_kernels_made_once(network):
    """Kernels are merged when a structure is first asked for, not in each call."""
    calls = []
    layer = next(m for m in network.modules() if isinstance(m, ExpertConvolution))
    merged = layer.merged
    layer.merged = lambda task: calls.append(task) or merged(task)
    x = stack(network)
    with torch.no_grad():
        first = network(x, structures=[1])
        again = network(x, structures=[1])
    assert calls == [1]
    assert torch.equal(first, again)


def test_changed_weights_are_never_predicted_with_old_kernels(network):
    x = stack(network)
    with torch.no_grad():
        before = network(x, structures=[2])
        for parameter in network.parameters():
            parameter.mul_(1.1)
        after = network(x, structures=[2])
    limit = 1e-4 * float(after.abs().max())
    assert (after - before).abs().max() > 10 * limit
    torch.testing.assert_close(after, as_trained(network, x, 2), atol=limit, rtol=0)


def test_a_network_made_in_inference_mode_predicts(network):
    """Its weights count no changes, so what was merged from them is not kept."""
    x = stack(network)
    with torch.no_grad():
        expected = network(x)
    with torch.inference_mode():
        made = build_network(network.config).eval()
        before = made(x)
        made.load_state_dict(network.state_dict())
        after = made(x)
    assert not torch.equal(before, expected)
    limit = 1e-4 * float(expected.abs().max())
    torch.testing.assert_close(after, expected, atol=limit, rtol=0)


# How kernels are kept hangs on none of the networks' options.
kept_alike = pytest.mark.parametrize(
    "network",
    [
        pytest.param(name, marks=() if name in ("released", "2d") else EXHAUSTIVE)
        for name in NETWORKS
    ],
    indirect=True,
)


@kept_alike
def test_copies_and_pickles_leave_merged_kernels_behind(network):
    """They are hundreds of megabytes, and made again when they are asked for."""
    x = stack(network)
    empty = len(pickle.dumps(network))
    with torch.no_grad():
        expected = network(x)
        assert len(pickle.dumps(network)) < 1.01 * empty
        for copied in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
            assert torch.equal(copied(x), expected)


@kept_alike
def test_two_predictions_at_once_share_merged_kernels(network):
    """Even where only one structure's are kept, and each throws out the other's."""
    network.merged.kept_bytes = 1
    x = stack(network)
    with torch.no_grad():
        expected = network(x)

    def run(start):
        with torch.no_grad():
            return [
                torch.allclose(network(x, [one])[:, 0], expected[:, one], atol=1e-5)
                for one in [(start + step) % 3 for step in range(12)]
            ]

    with ThreadPoolExecutor(4) as pool:
        assert all(itertools.chain(*pool.map(run, range(4))))
