"""A backbone is the encoder of a 2D or 2-to-3D network like any other."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_sparsessp.errors import InputError
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.networks.config import BACKBONES
from napari_sparsessp.networks.network import prefix_weights

pytest.importorskip("transformers", reason="the backbones extra")


def tiny(backbone, topology="2d", **changes):
    torch.manual_seed(0)
    options = {
        "backbone": backbone,
        "topology": topology,
        "outputs": 3,
        "depth": 8,
        "encoder_widths": (4, 4, 4, 8, 8),
        "decoder_widths": (4, 4, 4, 8),
        "tiny": True,
    }
    return build_network(NetworkConfig(**options | changes)).eval()


@pytest.mark.parametrize("ratio", [1, 4])
@pytest.mark.parametrize("topology", ["2d", "2to3d"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_dense_planes_come_out_at_any_sparsity(backbone, topology, ratio):
    network = tiny(backbone, topology, ratio=ratio)
    with torch.no_grad():
        y = network(torch.randn(2, 1, 8 // ratio, 32, 48))
    assert y.shape == (2, 3, 8, 32, 48)
    assert torch.isfinite(y).all()


@pytest.mark.parametrize("conditioning", ["multinet", "multihead", "dodnet", "tgnet"])
def test_structures_can_be_told_in_every_way(conditioning):
    network = tiny("resnet18", conditioning=conditioning)
    with torch.no_grad():
        y = network(torch.randn(1, 1, 8, 32, 32), structures=[2, 0])
    assert y.shape == (1, 2, 8, 32, 32)


def test_what_the_catalogue_says_of_tiles_the_description_says_too():
    for backbone, spec in BACKBONES.items():
        config = NetworkConfig(backbone=backbone, conditioning="multihead", tiny=True)
        assert config.sees_whole or not spec.sees_whole
        assert config.stride == 16


@pytest.mark.parametrize("mode", ["hold", "linear"])
def test_a_prefix_is_raw_planes_with_summed_kernels_here_too(mode):
    """Models.md finding 2, for both layers that look at the input."""
    options = {"interpolation": mode, "conditioning": "multihead"}
    dense = tiny("resnet18", **options)
    raw = tiny("resnet18", ratio=2, **options)
    mix = prefix_weights(4, 8, mode)
    weights = {
        name: torch.einsum("odhw,dn->onhw", value, mix)
        if value.shape != raw.state_dict()[name].shape
        else value
        for name, value in dense.state_dict().items()
    }
    raw.load_state_dict(weights)
    x = torch.randn(1, 1, 4, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(raw(x), dense(x), atol=1e-4, rtol=1e-4)


def test_published_weights_reach_the_encoder(tmp_path):
    network = tiny("resnet18")
    trunk = network.encoder.backbone.trunk.state_dict()
    other = {
        key: torch.randn_like(value) if value.is_floating_point() else value
        for key, value in trunk.items()
    }
    save_file(other, tmp_path / "model.safetensors")
    config = network.config
    again = build_network(config, load_file(tmp_path / "model.safetensors"))
    loaded = again.encoder.backbone.trunk.state_dict()
    assert torch.equal(
        loaded["encoder.stages.0.layers.0.layer.0.convolution.weight"],
        other["encoder.stages.0.layers.0.layer.0.convolution.weight"],
    )


def test_a_missing_library_is_told_when_the_network_is_built(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(InputError, match="pip install"):
        tiny("vit_b")
