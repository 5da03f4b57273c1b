"""Every backbone of Table 5 is a pyramid with strides 1, 2, 4, 8 and 16."""

import subprocess
import sys

import pytest
import torch

from napari_sparsessp.errors import InputError
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.networks.backbone_specs import BACKBONES
from napari_sparsessp.networks.backbones import build_backbone

STRIDES = (1, 2, 4, 8, 16)
QUIET = """
import socket, sys

def refuse(*args, **kwargs):
    raise OSError("the network was asked")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import torch
from napari_sparsessp.networks.backbones import build_backbone
from napari_sparsessp.networks.backbone_specs import BACKBONES
for name in BACKBONES:
    build_backbone(name, 2, tiny=True).eval()(torch.zeros(1, 2, 32, 32))
"""


@pytest.fixture
def library():
    """The optional library; without it these tests have nothing to test."""
    return pytest.importorskip("transformers", reason="the backbones extra")


def tiny(name, channels=3, **options):
    torch.manual_seed(0)
    return build_backbone(name, channels, tiny=True, **options).eval()


def assert_pyramid(features, widths, height, width):
    shapes = [tuple(f.shape[1:]) for f in features]
    assert shapes == [
        (c, height // s, width // s) for c, s in zip(widths, STRIDES, strict=True)
    ]


@pytest.mark.parametrize("size", [(16, 16), (128, 128), (48, 80), (160, 32)])
@pytest.mark.parametrize("name", BACKBONES)
def test_features_lie_at_strides_1_to_16_for_any_multiple_of_16(library, name, size):
    backbone = tiny(name, channels=5)
    with torch.no_grad():
        features = backbone(torch.randn(2, 5, *size))
    assert_pyramid(features, backbone.widths, *size)
    assert all(torch.isfinite(f).all() for f in features)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("resnet18", 11.2),
        ("swin_b", 87),
        ("vit_b", 86),
        ("vit_l", 304),
        ("dinov2_b", 86),
    ],
)
def test_trunks_have_the_published_size(library, name, millions):
    """Models.md section 4, for RGB; meta tensors take no memory."""
    with torch.device("meta"):
        trunk = build_backbone(name, 3).trunk
    count = sum(p.numel() for p in trunk.parameters())
    assert count == pytest.approx(millions * 1e6, rel=0.02)


@pytest.mark.parametrize("patch", [4, 8, 12, 14, 16, 20, 32])
@pytest.mark.parametrize("name", ["vit_b", "dinov2_b"])
def test_patches_of_any_size_give_the_same_strides(library, name, patch):
    backbone = tiny(name, patch_size=patch)
    with torch.no_grad():
        features = backbone(torch.randn(1, 3, 48, 64))
    assert_pyramid(features, backbone.widths, 48, 64)


@pytest.mark.parametrize("patch", [8, 14, 16, 32])
def test_tokens_stay_where_their_pixels_are(library, patch):
    """A bright corner changes the feature of that corner most, whatever the patch."""
    backbone = tiny("vit_b", patch_size=patch)
    plain = torch.zeros(1, 3, 128, 128)
    bright = plain.clone()
    bright[..., 96:112, 32:48] = 3.0
    with torch.no_grad():
        change = backbone(bright)[4] - backbone(plain)[4]
    peak = change.square().sum(1)[0].argmax()
    row, column = divmod(int(peak), 8)
    near = 1 if patch == 32 else 0
    assert abs(row - 6) <= near
    assert abs(column - 2) <= near


@pytest.mark.parametrize("name", BACKBONES)
def test_every_parameter_learns(library, name):
    """No layer of the trunk or the pyramid is dead weight."""
    backbone = tiny(name).train()
    loss = sum(f.square().mean() for f in backbone(torch.randn(2, 3, 64, 64)))
    loss.backward()
    assert [n for n, p in backbone.named_parameters() if p.grad is None] == []


def test_a_resnet_gives_a_shifted_tile_the_same_features(library):
    """16 px further, everything but the margin is the same: no grid at stride 32."""
    backbone = tiny("resnet18")
    image = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        whole = backbone(image)[4]
        tile = backbone(image[..., 16:, 16:])[4]
    margin = 7  # 97 px, the reach of the tiny one, in steps of 16
    torch.testing.assert_close(
        tile[..., margin:-margin, margin:-margin],
        whole[..., 1 + margin : -margin, 1 + margin : -margin],
        atol=1e-5,
        rtol=1e-5,
    )


def test_without_the_extra_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError) as refused:
        build_backbone("vit_b", 3)
    assert str(refused.value) == (
        "backbone vit_b needs the transformers library; install it with: "
        'pip install "napari-sparsessp[backbones]"'
    )


def test_building_asks_no_network_and_prints_nothing(library):
    done = subprocess.run(
        [sys.executable, "-c", QUIET], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_networks_are_described_without_the_library_or_torch():
    code = (
        "import sys, napari_sparsessp.networks.backbone_specs as c; c.BACKBONES\n"
        "print({'torch', 'transformers'} & set(sys.modules))\n"
        "from napari_sparsessp.networks.backbones import build_backbone\n"
        "print('transformers' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["set()", "False"]


def tiny_network(backbone, topology="2d", **changes):
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
def test_dense_planes_come_out_at_any_sparsity(library, backbone, topology, ratio):
    network = tiny_network(backbone, topology, ratio=ratio)
    with torch.no_grad():
        y = network(torch.randn(2, 1, 8 // ratio, 32, 48))
    assert y.shape == (2, 3, 8, 32, 48)
    assert torch.isfinite(y).all()
