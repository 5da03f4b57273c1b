"""What a pass takes, on paper and counted tensor by tensor."""

import weakref
from contextlib import nullcontext
from itertools import product

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from lanes import EXHAUSTIVE
from napari_sparsessp.errors import InputError
from napari_sparsessp.models.library import read_card
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.networks.cost import pass_footprint, weight_bytes
from napari_sparsessp.networks.families import (
    BACKBONES_2D,
    CONDITIONINGS,
)

SHIPPED = ("colony-3to2d", "colony-2d", "colony-2to3d", "colony-3d", "hipsc-dna")


class Alive(TorchDispatchMode):
    """Adds up the bytes of all tensors that exist at the same time, but weights."""

    def __init__(self, network):
        super().__init__()
        # A transposed weight is no new one.
        storages = [one.untyped_storage() for one in network.parameters()]
        self.sizes = dict.fromkeys((one._cdata for one in storages), 0)
        self.now = self.most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for one in tree_flatten(out)[0]:
            if not isinstance(one, torch.Tensor):
                continue
            storage = one.untyped_storage()
            if storage._cdata not in self.sizes:
                self.sizes[storage._cdata] = storage.nbytes()
                self.now += storage.nbytes()
                weakref.finalize(storage, self.gone, storage._cdata)
        self.most = max(self.most, self.now)
        return out

    def gone(self, key):
        self.now -= self.sizes.pop(key, 0)


def most_alive(config, side, outputs, precision):
    """Bytes at the peak of a real pass, as `Forward` does it."""
    network = build_network(config).eval().requires_grad_(False)
    source = torch.zeros(1, config.inputs, config.planes, side, side)
    half = precision == "bf16"
    cast = torch.autocast("cpu", torch.bfloat16) if half else nullcontext()
    alive = Alive(network)
    with torch.inference_mode(), cast, alive:
        features = network.encode(source)
        result = network.decode(features, list(range(outputs)))[0].float()
    assert torch.isfinite(result).all()
    return alive.most


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        # the largest take ten seconds, and small ones of all kinds are drawn below
        pytest.param(*case, marks=() if case[0] == "colony-3to2d" else EXHAUSTIVE)
        for case in product(SHIPPED, ("fp32", "bf16"))
    ],
)
def test_a_shipped_network_takes_no_more_than_is_said(name, precision):
    """And not much less: memory that is planned and not used makes tiles small."""
    config = NetworkConfig.model_validate(read_card(name).network)
    counted = most_alive(config, 32, config.outputs, precision)
    said = pass_footprint(config, config.outputs).bytes_of(32 * 32, precision)
    weights = weight_bytes(config) if precision == "bf16" else 0
    assert counted <= said + weights / 2
    assert said <= 1.5 * counted


@st.composite
def configs(draw):
    """Small networks of every family, topology, mapping and conditioning."""
    backbone = draw(st.sampled_from(["slim", "dod", "plain", "gvt"]))
    levels = draw(st.integers(2, 3))
    widths = [draw(st.sampled_from([2, 3, 4, 8])) * 2**k for k in range(levels)]
    topology = draw(st.sampled_from(["3d", "2d", "2to3d", "3to2d"]))
    fields = {
        "backbone": backbone,
        "topology": topology,
        "depth": 16,
        "outputs": draw(st.sampled_from([1, 3])),
        "encoder_widths": widths,
        "encoder_blocks": [draw(st.integers(1, 2)) for _ in range(levels)],
        "folded_width": 32,
    }
    if backbone == "gvt":
        blocks = [1] * levels
        fields |= {"topology": "3d", "encoder_blocks": blocks}
        fields |= {"decoder_widths": widths[:-1]}
    elif backbone == "slim":
        more = 0 if topology.endswith("3d") else 1
        fields["decoder_widths"] = [8] * (levels + more)
    else:
        mapping = draw(st.sampled_from(["prefix", "postfix", "none"]))
        dense = topology.startswith("3") and mapping == "prefix"
        fields |= {
            "decoder_widths": widths[:-1],
            "mapping": mapping,
            "ratio": 1 if dense else 2,
            "projection": draw(st.sampled_from(["3d", "2d"])),
            "norm": draw(st.sampled_from(["group", "batch", "none"])),
            "groups": 2,
            "conditioning": draw(st.sampled_from(CONDITIONINGS)),
            "task_where": draw(st.sampled_from(["decoder", "all"])),
        }
    try:
        config = NetworkConfig.model_validate(fields)
        with torch.device("meta"):
            build_network(config)  # what cannot be folded is found only there
    except (ValidationError, InputError):
        assume(False)
    return config


@pytest.mark.parametrize(
    "changes",
    [
        {"backbone": "fcmae", "depth": 15, "encoder_widths": (18, 36, 72, 144)},
        {"backbone": "fcmae", "depth": 5, "outputs": 12},
        {"backbone": "fcmae", "topology": "2d"},
        {
            "backbone": "fcmae",
            "depth": 14,
            "stem": (7, 4, 4),
            "head_form": "convolution",
        },
        {
            "backbone": "fnet3d",
            "depth": 16,
            "encoder_widths": (8, 16, 32),
            "encoder_blocks": (1, 1, 1),
            "decoder_widths": (8, 16),
        },
        {"backbone": "unext2", "depth": 5},
        {"backbone": "unext2", "depth": 14, "stem": (7, 4, 4), "outputs": 6},
    ],
    ids=str,
)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_viscys_networks_take_no_more_than_is_said(changes, precision):
    plain = {"encoder_widths": (12, 24, 48, 96), "encoder_blocks": (1, 2, 1, 1)}
    config = NetworkConfig(**{**plain, **changes})
    counted = most_alive(config, 64, config.outputs, precision)
    said = pass_footprint(config, config.outputs).bytes_of(64 * 64, precision)
    with torch.device("meta"):
        network = build_network(config)
    weights = 4 * sum(one.numel() for one in network.parameters())
    assert weights <= weight_bytes(config)
    if precision == "fp32":
        assert counted <= said <= 1.5 * counted
    else:
        assert counted <= said + weight_bytes(config) / 2


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)
@given(configs(), st.sampled_from([16, 24]))
def test_no_network_takes_more_than_is_said(config, side):
    """Merged kernels are weights, which the plan counts by themselves."""
    assume(config.conditioning not in ("repmode", "multinet"))
    outputs = 1 if config.per_structure else config.outputs
    counted = most_alive(config, side, outputs, "fp32")
    said = pass_footprint(config, outputs).bytes_of(side * side)
    small = 128 * 1024  # codes, pooled features, the weights of gates and heads
    assert counted <= said + small


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)
@given(configs())
def test_weights_are_not_more_than_is_said(config):
    with torch.device("meta"):
        network = build_network(config)
    counted = 4 * sum(one.numel() for one in network.parameters())
    assert counted <= weight_bytes(config)


@pytest.mark.parametrize("name", [*BACKBONES_2D, *SHIPPED])
def test_weights_of_known_networks_are_counted_closely(name):
    if name in SHIPPED:
        config = NetworkConfig.model_validate(read_card(name).network)
    else:
        pytest.importorskip("transformers")
        config = NetworkConfig(backbone=name, topology="2d", conditioning="tsn")
    with torch.device("meta"):
        network = build_network(config)
    counted = 4 * sum(one.numel() for one in network.parameters())
    assert counted <= weight_bytes(config) <= 1.5 * counted
