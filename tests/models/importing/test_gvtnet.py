"""GVTNets' checkpoints become networks that compute the same."""

import numpy as np
import pytest
import torch

import published
from napari_sparsessp.errors import ModelError
from napari_sparsessp.models.importing import answers_for, inspect_checkpoint
from napari_sparsessp.models.raw_forward import raw_forward
from napari_sparsessp.models.weights import file_sha256


def test_a_checkpoint_gives_the_numbers_of_the_network_it_came_from(tmp_path, imported):
    """From a folder, its index or its prefix; Adam's slots stay behind."""
    network = published.gvtnet(tmp_path)
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
    published.gvtnet(place)
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
    published.gvtnet(tmp_path, **changes)
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
