"""Published files load as they are; anything else is refused in one line."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from napari_sparsessp.errors import ModelError
from napari_sparsessp.networks.backbones import (
    adapt_channels,
    build_backbone,
    resize_kernel,
    resize_positions,
)
from napari_sparsessp.networks.config import backbone_spec

transformers = pytest.importorskip("transformers", reason="the backbones extra")

NAMES = ("resnet18", "swin_b", "vit_b", "dinov2_b")
PATCH = {"vit": 16, "dinov2": 14, "swin": 4}
# One spelling of the files on the hub, made when a block's parts had deeper names.
PUBLISHED = (
    (".attention.q_proj.", ".attention.attention.query."),
    (".attention.k_proj.", ".attention.attention.key."),
    (".attention.v_proj.", ".attention.attention.value."),
    (".attention.o_proj.", ".attention.output.dense."),
    (".mlp.fc1.", ".intermediate.dense."),
    (".mlp.fc2.", ".output.dense."),
)


def published(name, size=64, channels=3):
    """A tiny network as the library itself builds and saves it."""
    torch.manual_seed(1)
    spec = backbone_spec(name, tiny=True)
    options = dict(spec.shape, num_channels=channels, image_size=size)
    if spec.kind in PATCH:
        options["patch_size"] = PATCH[spec.kind]
    kinds = {
        "resnet": (transformers.ResNetConfig, transformers.ResNetModel),
        "swin": (transformers.SwinConfig, transformers.SwinModel),
        "vit": (transformers.ViTConfig, transformers.ViTModel),
        "dinov2": (transformers.Dinov2Config, transformers.Dinov2Model),
    }
    config, model = kinds[spec.kind]
    network = model(config(**options)).eval()
    with torch.no_grad():  # fresh norms and positions would hide a mix-up
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


@pytest.fixture
def folder(tmp_path):
    """Saves a published network and gives its folder."""

    def save(network):
        network.save_pretrained(tmp_path / "published")
        return tmp_path / "published" / "model.safetensors"

    return save


def build(name, weights, channels=3, **options):
    torch.manual_seed(0)
    tensors = None if weights is None else load_file(weights)
    return build_backbone(
        name, channels, weights=tensors, tiny=True, image_size=64, **options
    ).eval()


def grey(channels=3, size=64):
    torch.manual_seed(2)
    return torch.randn(1, 1, size, size).expand(-1, channels, -1, -1)


@pytest.mark.parametrize("name", ["vit_b", "dinov2_b"])
def test_a_transformer_gives_the_published_tokens(folder, name):
    """Same file, same grey image: what the library computes is what we compute."""
    size, across, grid = (64, 64, 4) if name == "vit_b" else (70, 112, 8)
    network = published(name, size)
    patch = PATCH[backbone_spec(name).kind]
    mine = build(name, folder(network), channels=5, patch_size=patch)
    image = grey(size=across)
    feature = mine(image[:, :1].expand(-1, 5, -1, -1))[4]
    with torch.no_grad():
        tokens = network(image).last_hidden_state[:, 1:]
    expected = tokens.mT.unflatten(2, (grid, grid))
    if name == "dinov2_b":  # 112 px are 8 patches of 14, on a grid of 7 × 16
        expected = F.interpolate(
            expected, size=(7, 7), mode="bilinear", align_corners=False
        )
    torch.testing.assert_close(feature, expected, atol=1e-4, rtol=1e-4)


def test_a_resnet_gives_the_published_features_up_to_stride_8(folder):
    network = published("resnet18")
    mine = build("resnet18", folder(network), channels=7)
    with torch.no_grad():
        states = network(grey(), output_hidden_states=True).hidden_states
        features = mine(grey(7))
    torch.testing.assert_close(features[2], states[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(features[3], states[2], atol=1e-4, rtol=1e-4)


def test_a_swin_gives_the_published_last_stage(folder):
    """The last depends on all before it; ours adds a norm that starts as identity."""
    network = published("swin_b", size=224)
    mine = build("swin_b", folder(network), channels=7)
    with torch.no_grad():
        states = network(grey(size=224), output_hidden_states=True)
        last = mine.trunk(grey(7, size=224)).feature_maps[-1]
    tokens = states.reshaped_hidden_states[-1].flatten(2).mT
    torch.testing.assert_close(
        last.flatten(2).mT,
        torch.nn.functional.layer_norm(tokens, tokens.shape[-1:]),
        atol=1e-4,
        rtol=1e-4,
    )


def test_names_as_first_published_are_understood(folder, tmp_path):
    """The files on the hub keep the names of the library's first releases."""
    where = folder(published("vit_b"))
    plain = load_file(where)
    renamed = {}
    for key, value in plain.items():
        for new, old in PUBLISHED:
            key = key.replace(new, old)
        if key.startswith("layers."):
            key = f"encoder.layer.{key.removeprefix('layers.')}"
        renamed[f"vit.{key}"] = value.clone()
    renamed["classifier.weight"] = torch.zeros(10, 32)
    assert any(".attention.attention.query." in key for key in renamed)
    save_file(renamed, tmp_path / "old.safetensors")
    new, old = build("vit_b", where), build("vit_b", tmp_path / "old.safetensors")
    with torch.no_grad():
        torch.testing.assert_close(old(grey())[4], new(grey())[4])


def test_dinov2_comes_to_the_decoders_grid_by_default(folder):
    """A 14 px kernel and its positions become 16 px ones."""
    mine = build("dinov2_b", folder(published("dinov2_b", size=70)))
    assert mine.patch_size == 16
    assert mine.trunk.embeddings.position_embeddings.shape[1] == 1 + 4 * 4


def spoil(folder, change):
    file = folder(published("vit_b"))
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)
    return file


def first_with(tensors, part):
    return next(key for key in sorted(tensors) if part in key)


def token(value):
    return lambda tensors: tensors.update({first_with(tensors, "cls_token"): value})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (token(torch.zeros(1, 1, 8)), r"\(1, 1, 8\), where vit_b needs \(1, 1, 32\)"),
        (token(torch.full((1, 1, 32), torch.nan)), "not finite numbers"),
        (token(torch.zeros(1, 1, 32, dtype=torch.int64)), "not finite numbers"),
        (lambda t: t.pop(first_with(t, "cls_token")), "lack embeddings.cls_token"),
        (lambda t: t.update({"layers.40.x": torch.zeros(1)}), "hold layers.40.x"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_the_tensors_name(folder, change, words):
    with pytest.raises(ModelError, match=words) as refused:
        build("vit_b", spoil(folder, change))
    assert "\n" not in str(refused.value)


def test_one_networks_weights_are_not_anothers(folder):
    with pytest.raises(ModelError, match="choose a file published for swin_b"):
        build("swin_b", folder(published("vit_b")))


@given(planes=st.integers(1, 40), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_a_grey_image_gives_the_same_activations_in_any_number_of_planes(planes, seed):
    generator = torch.Generator().manual_seed(seed)
    rgb = torch.randn(4, 3, 7, 7, generator=generator)
    grey = torch.randn(1, 1, 16, 16, generator=generator)
    adapted = adapt_channels(rgb, planes)
    torch.testing.assert_close(
        F.conv2d(grey.expand(-1, planes, -1, -1), adapted),
        F.conv2d(grey.expand(-1, 3, -1, -1), rgb),
        atol=1e-4,
        rtol=1e-4,
    )


def test_no_plane_is_treated_as_a_colour():
    adapted = adapt_channels(torch.randn(4, 3, 2, 2), 3)
    assert torch.equal(adapted[:, 0], adapted[:, 2])


def test_weights_for_these_very_planes_are_left_alone():
    weight = torch.randn(4, 16, 2, 2)
    assert adapt_channels(weight, 16) is weight


def resized(patch, size):
    """Linear along y and x, the resizing that the kernel is fitted to."""
    return F.interpolate(patch, size=(size, size), mode="bilinear", align_corners=False)


@given(old=st.integers(2, 16), more=st.integers(0, 10), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_grown_patch_gives_the_same_token(old, more, seed):
    """Exact for growing, as FlexiViT proves; 14 → 16 is DINOv2's."""
    generator = torch.Generator().manual_seed(seed)
    kernel = torch.randn(3, 2, old, old, generator=generator)
    patch = torch.randn(5, 2, old, old, generator=generator)
    new = old + more
    torch.testing.assert_close(
        F.conv2d(resized(patch, new), resize_kernel(kernel, new)),
        F.conv2d(patch, kernel),
        atol=1e-3,
        rtol=1e-3,
    )


def test_a_shrunk_patch_gives_the_closest_token():
    """Least squares: no other kernel answers white noise patches better."""
    torch.manual_seed(0)
    kernel = torch.randn(1, 1, 6, 6).double()
    best = resize_kernel(kernel, 4)
    patches = torch.eye(36, dtype=torch.float64).view(36, 1, 6, 6)
    small = resized(patches, 4)

    def error(candidate):
        gap = F.conv2d(small, candidate) - F.conv2d(patches, kernel)
        return float(gap.square().sum())

    for _ in range(20):
        assert error(best) <= error(best + 0.05 * torch.randn_like(best))


def test_positions_of_another_grid_are_the_same_landscape():
    """A smooth ramp stays a ramp; the class token's is not mixed in."""
    ramp = torch.linspace(0, 1, 8)[:, None].expand(8, 8).reshape(1, 64, 1)
    positions = torch.cat([torch.full((1, 1, 1), 9.0), ramp], dim=1)
    grown = resize_positions(positions, 1 + 16**2)
    assert grown.shape == (1, 257, 1)
    assert grown[0, 0, 0] == 9.0
    grid = grown[0, 1:, 0].view(16, 16)
    assert (grid.diff(dim=0)[2:-2] > 0).all()
    torch.testing.assert_close(grid[:, 0], grid[:, 15])


@pytest.mark.parametrize("count", [5, 1 + 7])
def test_positions_that_fit_or_are_no_square_are_left_alone(count):
    positions = torch.randn(1, 5, 3)
    assert resize_positions(positions, count) is positions
