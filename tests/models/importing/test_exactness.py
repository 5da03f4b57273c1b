"""An imported network computes what the checkpoint computes."""

import numpy as np
import pytest
import torch

import published
from napari_sparsessp.models.importing import inspect_checkpoint
from napari_sparsessp.models.raw_forward import raw_forward

FORMATS = {
    "repmode": lambda path: published.repmode(path),
    "repmode, one structure": lambda path: published.repmode(path, ("dna",)),
    "repmode, two channels": lambda path: published.repmode(path, inputs=2),
    "sparsessp 3to2d": lambda path: published.sparsessp(path),
    "sparsessp 3d": lambda path: published.sparsessp(path, "3d", depth=32),
    "sparsessp 2d": lambda path: published.sparsessp(path, "2d"),
    "sparsessp 2d of raw planes": lambda path: published.sparsessp(
        path, "2d", mapping="none", ratio=4
    ),
    "fnet 3d": lambda path: published.fnet(path),
    "fnet 3d, two outputs": lambda path: published.fnet(path, outputs=2),
    "fnet 3d, legacy": lambda path: published.fnet(path, legacy=True),
    "fnet 2d": lambda path: published.fnet(path, 2),
    "fnet 2d of planes": lambda path: published.fnet(path, 2, depth=4),
    "fnet, deeper": lambda path: published.fnet(
        path, encoder_widths=(1, 2, 3, 4), decoder_widths=(1, 2, 3)
    ),
}


@pytest.mark.parametrize("make", FORMATS.values(), ids=FORMATS.keys())
def test_a_checkpoint_gives_the_same_bits_as_the_network_it_came_from(
    make, tmp_path, imported
):
    path = tmp_path / "best_r4.pth"
    network = make(path)
    config = network.config
    found = inspect_checkpoint(path)
    described = type(config).model_validate(found.network)
    # how sparse planes are interpolated is no part of a dense network's file
    described = described.model_copy(update={"interpolation": config.interpolation})
    assert described == config
    assert found.parameters == sum(p.numel() for p in network.parameters())
    planes = np.random.default_rng(0).normal(size=(config.inputs, config.planes, 8, 16))
    planes = planes.astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(planes)[None])[0].numpy()
    np.testing.assert_array_equal(raw_forward(path, planes), expected)
    if config.inputs > 1:
        return
    model = imported(path)
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name
    np.testing.assert_array_equal(raw_forward(model.path, planes[0]), expected)


@pytest.mark.parametrize(
    "name",
    ["repmode_3d.p", "sparsessp_repmode_3to2d_r8.pth", "fnet_3d.p", "fnet_3d_legacy.p"],
)
def test_the_reference_checkpoints_give_the_reference_outputs(
    name, shared_parity, imported
):
    path = shared_parity(name)
    expected = np.load(path.with_suffix(".npz"))
    wanted = expected["y"].reshape(-1, *expected["y"].shape[-3:])
    model = imported(path)
    for source in (path, model.path):
        got = raw_forward(source, expected["x"])
        assert got.shape == wanted.shape
        assert np.abs(got - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_each_output_of_the_reference_is_the_structure_that_it_is_named_for(
    shared_parity,
):
    path = shared_parity("repmode_3d.p")
    expected = np.load(path.with_suffix(".npz"))
    for index, task in enumerate(expected["tasks"]):
        (got,) = raw_forward(path, expected["x"], [str(task)])
        wanted = expected["y"][index]
        assert np.abs(got - wanted).max() <= 1e-4 * np.abs(expected["y"]).max()


def test_weights_in_other_float_types_are_converted(tmp_path, imported):
    path = tmp_path / "dna.p"
    network = published.fnet(path)
    content = torch.load(path, weights_only=True)
    state = content["nn_state"]
    for name, tensor in state.items():
        if tensor.is_floating_point():
            state[name] = tensor.double()
    torch.save(content, path)
    model = imported(path)
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name


def test_a_norm_that_never_counted_its_batches_is_taken(tmp_path, imported):
    """torch 0.4.0, with which the first fnet models were made, had no counter."""
    path = tmp_path / "dna.p"
    published.fnet(path, legacy=True)
    content = torch.load(path, weights_only=True)
    for name in [n for n in content["nn_state"] if n.endswith("tracked")]:
        del content["nn_state"][name]
    torch.save(content, path, _use_new_zipfile_serialization=False)
    model = imported(path)
    assert model.network.state_dict()["decoder.ups.0.norm.num_batches_tracked"] == 0


@pytest.mark.parametrize("prefix", ["module.", "_forward_module.module.", "net."])
def test_prefixes_of_wrappers_are_taken_off(prefix, tmp_path, imported):
    network = published.sparsessp(tmp_path / "x8.pth", prefix=prefix)
    model = imported(tmp_path / "x8.pth")
    assert model.network.state_dict().keys() == network.state_dict().keys()
