"""Every kind of network comes back from its file as it was."""

import pytest
import torch

from napari_sparsessp.models.library import load_model, save_model
from napari_sparsessp.models.verification import make_check, verify_model
from napari_sparsessp.networks import NetworkConfig, build_network
from thin import card_of

SMALL = {
    "encoder_widths": (2, 3, 4),
    "decoder_widths": (2, 3),
    "encoder_blocks": (1,) * 3,
}
SMALL |= {"depth": 8, "outputs": 2, "folded_width": 16, "groups": 1, "inputs": 1}

# One of each way in which weights are kept: shared, by structure, buffers, experts.
NETWORKS = [
    {"backbone": "dod", "topology": "3to2d", "conditioning": "dodnet"},
    {"backbone": "plain", "topology": "2d", "conditioning": "tsn"},
    {"backbone": "plain", "conditioning": "condnet", "task_code": "hash"},
    {"backbone": "plain", "topology": "3to2d", "conditioning": "multinet"},
    {"backbone": "plain", "topology": "3d", "conditioning": "repmode", "kernel": 5},
    {"backbone": "dod", "topology": "3d", "mapping": "postfix", "ratio": 2},
    {"backbone": "slim", "topology": "2to3d", "decoder_widths": (2, 3, 4)},
]


def _card(config, **more):
    names = tuple(f"s{i}" for i in range(config.outputs))
    return card_of(config, structures=names, ratios=(2,), **more)


@pytest.mark.parametrize(
    "fields", NETWORKS, ids=lambda f: "-".join(map(str, f.values()))
)
def test_a_network_comes_back_from_its_file_as_it_was(tmp_path, fields):
    config = NetworkConfig(**{**SMALL, **fields})
    torch.manual_seed(0)
    network = build_network(config).eval()
    path = save_model(tmp_path / "one.safetensors", network, _card(config))
    x = torch.randn(1, 1, config.planes, 16, 16)
    with torch.inference_mode():
        assert torch.equal(load_model(path).network(x), network(x))
    check = make_check(network, "0" * 64)
    card = _card(config, check=check)
    save_model(path, network, card)
    verdict = verify_model(path)
    assert not verdict.ok  # the digest was made up, and only that is wrong
    assert "weights are not those of its card" in verdict.text


def test_a_2d_backbone_comes_back_from_its_file_as_it_was(tmp_path):
    pytest.importorskip("transformers", reason="the extra `backbones`")
    config = NetworkConfig(
        backbone="resnet18", topology="2d", outputs=2, depth=4, tiny=True
    )
    torch.manual_seed(0)
    network = build_network(config).eval()
    path = save_model(tmp_path / "one.safetensors", network, _card(config))
    x = torch.randn(1, 1, 4, 32, 32)
    with torch.inference_mode():
        assert torch.equal(load_model(path).network(x), network(x))
