"""VisCy's Lightning checkpoints: what is read, what is asked, what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.speed.viscy_layout import (
    Layout,
    plain_volume,
    random_state,
    write_checkpoint,
)
from napari_sparsessp.errors import InputError, ModelError
from napari_sparsessp.models.importing import answers_for, inspect_checkpoint
from napari_sparsessp.models.importing.convert import open_network
from napari_sparsessp.models.raw_forward import raw_forward, run_stack

SMALL = {"widths": (8, 8, 8, 16), "blocks": (1, 1, 1, 1), "decoder_blocks": 1}
FLAT = Layout(depth=1, stem=(1, 2, 2), adam=True, **SMALL)
DEEP = Layout(depth=5, adam=True, **SMALL)
CONVOLVED = Layout(depth=14, stem=(7, 4, 4), convolves=True, pool=False, **SMALL)
UNEXT2 = Layout(unext2=True, depth=5, convolves=True, **SMALL)

PARITY = (
    "dynacell_fnet3d",
    "vscyto2d_fcmae",
    "vscyto3d_fcmae_z10",
    "dynacell_vscyto3d_fcmae_z15",
    "vscyto3d_unext2_z5",
    "vsneuromast_unext2_z14",
    "vsneuromast_fcmae_z14",
)


@pytest.fixture
def written(tmp_path):
    """`written(layout, **more)`: a checkpoint with other things in it."""

    def go(layout, state=None, **more):
        path = tmp_path / "epoch=8.ckpt"
        write_checkpoint(path, layout, state or random_state(layout))
        content = torch.load(path, weights_only=True)
        torch.save({**content, **more}, path)
        return path

    return go


def asked(found):
    return {question.name: question.suggestion for question in found.questions}


@pytest.mark.parametrize("name", PARITY)
def test_the_authors_networks_give_the_authors_numbers(name, shared_parity):
    """A window as it is, and a stack of any size in their windows and padding."""
    path = shared_parity(f"weights/{name}.ckpt")
    expected = np.load(path.with_suffix(".npz"))
    pairs = [("x", "y"), ("volume", "volume_y")]
    for given_, wanted in (pair for pair in pairs if pair[0] in expected):
        got = raw_forward(path, expected[given_][0, 0])
        assert np.abs(got - expected[wanted][0]).max() <= 1e-4


@pytest.mark.parametrize("layout", [FLAT, DEEP, UNEXT2], ids=["2D", "3D", "UNeXt2"])
def test_a_stack_is_the_mean_of_windows_one_plane_apart(layout, written):
    state = random_state(layout)
    layout = replace(layout, adam=False)
    stack = np.random.default_rng(0).normal(size=(layout.depth + 2, 37, 50))
    stack = stack.astype(np.float32)
    with torch.inference_mode():
        expected = plain_volume(layout, state, torch.from_numpy(stack))
    got = raw_forward(written(layout, state), stack)
    assert got.shape == (2, *stack.shape)
    np.testing.assert_allclose(got, expected.numpy(), atol=2e-5)
    (second,) = raw_forward(written(layout, state), stack, ["1"])
    np.testing.assert_allclose(second, got[1], atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(
    planes=st.integers(1, 4),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    seed=st.integers(0, 9),
)
def test_a_2d_network_takes_each_plane_by_itself(planes, height, width, seed):
    network, stack = _flat_network(), np.random.default_rng(seed)
    stack = stack.normal(size=(planes, height, width)).astype(np.float32)
    whole = run_stack(network, stack)
    assert whole.shape == (2, *stack.shape)
    alone = np.concatenate([run_stack(network, plane[None]) for plane in stack], 1)
    np.testing.assert_allclose(whole, alone, atol=1e-5)


def _flat_network(made=[]):  # noqa: B006 - once for all examples
    if not made:
        from napari_sparsessp.networks import NetworkConfig, build_network

        torch.manual_seed(0)
        config = NetworkConfig(
            backbone="fcmae",
            topology="2d",
            encoder_widths=(8, 8, 8, 16),
            encoder_blocks=(1, 1, 1, 1),
        )
        made.append(build_network(config).eval())
    return made[0]


def test_a_stack_thinner_than_a_window_is_refused(written):
    path = written(DEEP)
    with pytest.raises(InputError, match="3 planes and the network looks at 5"):
        raw_forward(path, np.zeros((3, 40, 40), np.float32))
    with pytest.raises(InputError, match="leave --ratio out"):
        raw_forward(path, np.zeros((6, 40, 40), np.float32), ratio=2)


def test_what_a_file_leaves_open_is_asked_with_what_was_published(written):
    found = inspect_checkpoint(written(UNEXT2))
    assert found.format == "VisCy UNeXt2"
    assert asked(found) == {
        "structures": ("dna", "cell_membrane"),
        "voxel_size": (0.2, 0.1, 0.1),
        "scaling": "median_iqr",
        "modality": "quantitative phase",
        "head_pool": True,
    }
    answers = answers_for(found)
    assert answers.modality == "quantitative phase"
    assert answers.ratios == (1.0,)
    assert "Nature Machine Intelligence" in answers.citation
    assert asked(inspect_checkpoint(written(CONVOLVED)))["head_pool"] is False


def test_a_2d_network_is_asked_for_its_voxel_size(written):
    """No paper or file says it, and a wrong one gives no error."""
    found = inspect_checkpoint(written(FLAT))
    assert asked(found)["voxel_size"] is None
    assert "head_pool" not in asked(found)
    with pytest.raises(InputError, match=r"voxel size.*--voxel-size Z,Y,X"):
        answers_for(found)
    one = inspect_checkpoint(written(replace(DEEP, outputs=1)))
    with pytest.raises(InputError, match="which structure its output is"):
        answers_for(one)


@pytest.mark.parametrize("said", [True, False])
def test_the_file_s_own_options_answer_for_the_head(said, written):
    options = {"model_config": {"head_conv_pool": said}}
    path = written(CONVOLVED, hyper_parameters=options)
    found = inspect_checkpoint(path)
    assert "head_pool" not in asked(found)
    assert open_network(path)[1].head.pool is said


def test_an_answer_changes_the_head(written, imported):
    path = written(CONVOLVED)
    assert imported(path, head_pool=True).network.head.pool is True
    assert imported(path, id="other").network.head.pool is False


def test_a_model_keeps_the_weights_alone_and_says_its_units(written, imported):
    path = written(FLAT)
    model = imported(path, voxel_size=(1, 0.3, 0.3))
    assert model.path.stat().st_size < 0.5 * path.stat().st_size
    card = model.card
    assert (card.scaling, card.units) == ("median_iqr", "iqr")
    assert card.structures == ("s0", "s1")
    planes = np.random.default_rng(0).normal(size=(2, 20, 30)).astype(np.float32)
    np.testing.assert_array_equal(
        raw_forward(model.path, planes), raw_forward(path, planes)
    )


def fnet3d_state(levels=2, width=3, outputs=2):
    """Random weights of DynaCell's U-Net, by their published names."""
    draw, state = torch.Generator().manual_seed(0), {}

    def add(name, *shape):
        fan = torch.Size(shape[1:]).numel()
        state[f"{name}.weight"] = torch.randn(shape, generator=draw) * fan**-0.5
        state[f"{name}.bias"] = torch.randn(shape[:1], generator=draw)

    def add_pair(name, inputs, wide):
        for block, first in (("block1", inputs), ("block2", wide)):
            add(f"{name}.{block}.proj", wide, first, 3, 3, 3)
            add(f"{name}.{block}.norm", wide)
            for part in ("running_mean", "running_var"):
                found = torch.rand(wide, generator=draw) + 0.5
                state[f"{name}.{block}.norm.{part}"] = found
            state[f"{name}.{block}.norm.num_batches_tracked"] = torch.tensor(8)

    add("inconv", width, 1, 3, 3, 3)
    for level in range(levels):
        wide = width * 2**level
        add_pair(f"_encoder_blocks.{level}.0", wide, wide)
        add(f"_downsamples.{level}", 2 * wide, wide, 3, 3, 3)
        up = f"_upsamples.{levels - 1 - level}"
        add(up, 2 * wide, wide, 3, 3, 3)
        state[f"{up}.bias"] = state[f"{up}.bias"][:wide].clone()
        add_pair(f"_decoder_blocks.{levels - 1 - level}.0", 2 * wide, wide)
    add_pair("bottleneck.block", width * 2**levels, width * 2**levels)
    add("outconv", outputs, width, 3, 3, 3)
    return state


def plain_fnet3d(state, x, levels=2):
    def part(name):
        return state[f"{name}.weight"], state[f"{name}.bias"]

    def pair(name, h):
        for block in ("block1", "block2"):
            norm = f"{name}.{block}.norm"
            h = F.conv3d(h, *part(f"{name}.{block}.proj"), padding=1)
            averages = (state[f"{norm}.running_{one}"] for one in ("mean", "var"))
            h = F.relu(F.batch_norm(h, *averages, *part(norm)))
        return h

    h, skips = F.conv3d(x, *part("inconv"), padding=1), []
    for level in range(levels):
        skips.append(pair(f"_encoder_blocks.{level}.0", h))
        h = F.conv3d(skips[-1], *part(f"_downsamples.{level}"), stride=2, padding=1)
    h = pair("bottleneck.block", h)
    for level in range(levels):
        up = part(f"_upsamples.{level}")
        h = F.conv_transpose3d(h, *up, stride=2, padding=1, output_padding=1)
        h = pair(f"_decoder_blocks.{level}.0", torch.cat([h, skips.pop()], 1))
    return F.conv3d(h, *part("outconv"), padding=1)


def test_the_u_net_of_dynacell_is_read_and_computes_the_same(written, imported):
    state = fnet3d_state()
    table = {f"model.{name}": one for name, one in state.items()}
    options = {"model_config": {"in_stack_depth": 8}}
    path = written(DEEP, state_dict=table, hyper_parameters=options)
    found = inspect_checkpoint(path)
    assert (found.format, found.network["depth"]) == ("VisCy FNet3D", 8)
    assert asked(found)["scaling"] == "zscore"
    x = np.random.default_rng(0).normal(size=(8, 16, 24)).astype(np.float32)
    expected = plain_fnet3d(state, torch.from_numpy(x)[None, None])[0].numpy()
    model = imported(path)
    assert (model.card.scaling, model.card.units) == ("zscore", "zscore")
    for source in (path, model.path):
        np.testing.assert_allclose(raw_forward(source, x), expected, atol=2e-5)
    (second,) = raw_forward(path, x, ["1"])
    np.testing.assert_allclose(second, expected[1], atol=2e-5)


def test_the_published_u_net_has_the_published_size():
    from napari_sparsessp.networks import NetworkConfig, build_network

    with torch.device("meta"):
        network = build_network(NetworkConfig(backbone="fnet3d", outputs=1))
    assert sum(one.numel() for one in network.parameters()) == 35_318_529
    assert len(network.state_dict()) == 146


def test_what_is_beside_the_weights_is_left_alone(written):
    state = {f"model.{name}": one for name, one in random_state(DEEP).items()}
    state["loss.number"] = torch.tensor(3)
    path = written(DEEP, state_dict=state, callbacks={"Checkpoint{'k': 1}": {"n": 1}})
    assert inspect_checkpoint(path).network["depth"] == 5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("encoder.stem.conv3d.weight"), "encoder.stem.conv3d.weight"),
        (lambda s: s.pop("encoder.stages.1.downsample.1.bias"), "downsample.1.bias"),
        (
            lambda s: s.update({"encoder.stem.conv3d.weight": torch.zeros(8, 1, 5)}),
            "has the shape 8×1×5",
        ),
        (
            lambda s: s.update(
                {"encoder.stem.conv3d.weight": torch.ones(8, 1, 5, 4, 2)}
            ),
            "cannot be built .stem 5,4,2",
        ),
        (lambda s: s.update({"encoder.more": torch.zeros(3)}), "has no place"),
        (
            lambda s: s.update({"encoder.stem.norm.bias": torch.zeros(9)}),
            "9 where 8 belongs",
        ),
        (
            lambda s: s["encoder.stem.norm.bias"].fill_(torch.nan),
            "NaN or infinite",
        ),
        (lambda s: s.clear(), "no table of weights"),
    ],
)
def test_other_weights_are_refused_in_one_line(change, says, written, imported):
    state = random_state(DEEP)
    change(state)
    table = {f"model.{name}": one for name, one in state.items()}
    with pytest.raises(ModelError, match=says) as error:
        imported(written(DEEP, state_dict=table))
    assert "\n" not in str(error.value)
