"""A copy of a model is the model."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_sparsessp.errors import ModelError, OutputError
from napari_sparsessp.models.library import load_model, save_model
from napari_sparsessp.models.manage import export_model


@pytest.fixture
def saved(tmp_path, network, card):
    half = torch.float16
    return save_model(tmp_path / "tiny.safetensors", network, card, dtype=half)


@pytest.mark.parametrize("out", ["copy.safetensors", "new/copy.safetensors", "folder"])
def test_a_copy_has_the_same_bytes(saved, tmp_path, out):
    target = export_model(saved, tmp_path / out)
    assert target.read_bytes() == saved.read_bytes()
    assert load_model(tmp_path / out).card == load_model(saved).card


def test_a_card_from_a_file_beside_goes_into_the_copy(tmp_path, network, card):
    folder = tmp_path / "folder"
    folder.mkdir()
    save_file(network.state_dict(), folder / "model.safetensors", {"more": "kept"})
    (folder / "card.json").write_text(card.to_json())
    target = export_model(folder, tmp_path / "copy.safetensors")
    assert load_model(target).card == card
    before = load_file(folder / "model.safetensors")
    for name, tensor in load_file(target).items():
        assert torch.equal(tensor, before[name])


def test_nothing_is_replaced_unasked(saved, tmp_path):
    out = tmp_path / "copy.safetensors"
    out.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists already"):
        export_model(saved, out)
    assert out.read_bytes() == b"precious"
    export_model(saved, out, overwrite=True)
    assert out.read_bytes() == saved.read_bytes()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "card.json").write_text("precious")
    with pytest.raises(OutputError, match=r"card\.json exists already"):
        export_model(saved, folder)


def test_a_model_is_not_written_over_itself(saved):
    with pytest.raises(OutputError, match="is the model itself"):
        export_model(saved, saved, overwrite=True)


def test_a_damaged_model_is_not_copied(saved, tmp_path):
    saved.write_bytes(saved.read_bytes()[:-1])
    with pytest.raises(ModelError, match="damaged"):
        export_model(saved, tmp_path / "copy.safetensors")
    assert not (tmp_path / "copy.safetensors").exists()
