"""Models that are really there, as the docks see them."""

import pytest

from napari_sparsessp.models.library import find_model, read_card
from napari_sparsessp.ui.engine import InstalledEngine


@pytest.fixture
def native(tmp_path):
    """A model file of this package that has another id than the shipped one."""
    from safetensors.numpy import load_file, save_file

    card = read_card().model_copy(update={"id": "second"})
    path = tmp_path / "copy.safetensors"
    tensors = load_file(find_model())
    save_file(tensors, path, metadata={"card": card.to_json(indent=None)})
    return path


def test_the_shipped_model_is_not_the_users_own():
    place = InstalledEngine().place(read_card())
    assert not place.own
    assert place.parameters > 100_000


def test_a_native_file_is_added_as_it_is(native, own_models_folder):
    engine = InstalledEngine()
    found = engine.inspect(native)
    assert found.id == "second"
    assert engine.place(found) is None
    assert engine.bring_in(native, found, {}) == "second"
    copy = own_models_folder / "second.safetensors"
    assert copy.read_bytes() == native.read_bytes()
    assert engine.place(found).own
    assert [card.id for card in engine.cards()].count("second") == 1
    copy.rename(own_models_folder / "any.safetensors")
    assert engine.place(found).path.name == "any.safetensors"
