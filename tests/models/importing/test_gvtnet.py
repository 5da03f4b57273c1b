"""GVTNets' checkpoints become networks that compute the same."""

import numpy as np
import pytest
import torch

from napari_sparsessp.errors import ModelError
from napari_sparsessp.models.importing import answers_for, inspect_checkpoint
from napari_sparsessp.models.raw_forward import raw_forward
from napari_sparsessp.models.weights import file_sha256
from napari_sparsessp.networks import NetworkConfig, build_network
from tensor_bundle import write

NORM = {
    "weight": "gamma", "bias": "beta",
    "running_mean": "moving_mean", "running_var": "moving_variance",
}  # fmt: skip
SHORT = {"query": "q", "key": "k", "value": "v", "out": "out"}


def published_name(name):
    """Where the authors' graph keeps a tensor of ours, written down a second time."""
    *path, part = name.split(".")
    end = NORM[part] if "norm" in path[-1] else {"weight": "kernel"}.get(part, part)
    match path:
        case ["first"] | ["head"]:
            where = {"first": "first_convolution", "head": "output_convolution"}[
                path[0]
            ]
        case ["norm"]:
            where = "batch_norm_output"
        case ["attention", "norm"]:
            where = "bottom_block/block_0/batch_norm"
        case ["attention", layer]:
            where = f"bottom_block/block_0/attention/{SHORT[layer]}_transform"
        case ["downs", level, "shortcut"]:
            block = f"encoding_block_{int(level) + 2}/downsampling"
            where = f"{block}/projection_shortcut"
        case ["ups", level]:
            block = f"decoding_block_{int(level) + 1}/upsampling"
            where = f"{block}/transposed_convolution"
        case [*unit, layer]:
            blocks = {"residual": "encoding_block_1/res_0"}
            if len(unit) > 1:
                level = int(unit[1])
                blocks |= {"downs": f"encoding_block_{level + 2}/downsampling"}
                blocks |= {"decoder": f"decoding_block_{level + 1}/res_0"}
            kind = {"conv": "convolution", "norm": "batch_norm"}[layer[:-1]]
            where = f"{blocks[unit[0]]}/{kind}_{layer[-1]}"
    return f"{where}/{end}"


def bundle(folder, **changes):
    """A checkpoint with Adam's slots; returns the network that it came from."""
    torch.manual_seed(1)
    widths = (2, 3, 4)
    fields = {"outputs": 1, "depth": 32, "encoder_widths": widths}
    fields |= {"encoder_blocks": (1, 1, 1), "decoder_widths": widths[:-1]}
    network = build_network(NetworkConfig(backbone="gvt", **fields)).eval()
    tensors = {"global_step": np.array(7, "<i8"), "beta1_power": np.array(0.1, "<f4")}
    for name, tensor in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if "norm" in name:
            tensor.uniform_(0.5, 2)
        array = tensor.numpy()
        if array.ndim == 5:
            array = np.ascontiguousarray(array.transpose(2, 3, 4, 1, 0))
        tensors[published_name(name)] = array
        for slot in ("Adam", "Adam_1"):
            tensors[f"{published_name(name)}/{slot}"] = array
    write(folder, {**tensors, **changes})
    return network


def test_a_checkpoint_gives_the_numbers_of_the_network_it_came_from(tmp_path, imported):
    """From a folder, its index or its prefix; Adam's slots stay behind."""
    network = bundle(tmp_path)
    planes = np.random.default_rng(0).normal(size=(8, 8, 16)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(planes)[None, None])[0].numpy()
    model = imported(tmp_path)
    for place in ("", "model.ckpt", "model.ckpt.index"):
        got = raw_forward(tmp_path / place, planes)
        np.testing.assert_allclose(got, expected, atol=2e-6)
    np.testing.assert_allclose(raw_forward(model.path, planes), expected, atol=2e-6)
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name
    found = inspect_checkpoint(tmp_path)
    assert found.parameters == sum(p.numel() for p in network.parameters())
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    assert model.card.source["sha256"] == file_sha256(data)
    assert model.card.scaling == "zscore"
    assert model.path.stat().st_size < data.stat().st_size


@pytest.mark.parametrize(
    ("folder", "structure", "sure"),
    [
        ("label-free/tom20/models/gvtnet_label-free_pretrained", "mitochondria", True),
        ("membrane_caax_63x/models/some", "cell_membrane", True),
        ("dic_lamin_b1/models/some", "nuclear_envelope", True),
        ("dna", "dna", False),
        ("something", None, False),
    ],
)
def test_the_structure_is_that_of_the_folder(tmp_path, folder, structure, sure):
    place = tmp_path / folder
    place.mkdir(parents=True)
    bundle(place)
    found = inspect_checkpoint(place)
    question = found.question("structures")
    assert question.suggestion == (None if structure is None else (structure,))
    assert question.assumable == sure
    if sure:
        answers = answers_for(found)
        assert answers.id == f"gvtnet-{place.parts[-3].replace('_', '-')}"
        assert answers.structures == (structure,)
        assert (answers.voxel_size, answers.ratios) == ((0.29, 0.29, 0.29), (1,))
    assert any("DIC" in note for note in found.notes) == ("dic" in folder)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"extra/kernel": np.ones(3, "<f4")}, "extra/kernel has no place in a GVTNet"),
        ({"first_convolution/kernel": np.ones(3, "<f4")}, "not those of a GVTNet"),
        (
            {"batch_norm_output/gamma": np.full(2, np.nan, "<f4")},
            "gamma",
        ),
        (
            {"decoding_block_1/res_0/convolution_1/kernel": np.ones((3,) * 5, "<f4")},
            "belongs",
        ),
    ],
)
def test_another_network_is_refused_in_a_line(tmp_path, imported, changes, match):
    bundle(tmp_path, **changes)
    with pytest.raises(ModelError, match=match) as error:
        imported(tmp_path)
    assert "\n" not in str(error.value)


def test_the_reference_gives_the_reference_output(shared_parity, imported):
    path = shared_parity("weights/gvtnet_label_free")
    expected = np.load(path.with_suffix(".npz"))
    wanted = expected["y"][0]
    model = imported(path)
    for source in (path, model.path):
        got = raw_forward(source, expected["x"][0, 0])
        assert np.abs(got - wanted).max() <= 1e-4 * np.abs(wanted).max()
