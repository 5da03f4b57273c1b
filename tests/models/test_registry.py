import subprocess
import sys

import pytest

from napari_sparsessp.errors import ModelError
from napari_sparsessp.models import registry
from napari_sparsessp.models.library import (
    find_model,
    list_models,
    read_card,
    save_model,
)


@pytest.fixture
def shipped(tmp_path, monkeypatch, network, card):
    folder = tmp_path / "weights"
    monkeypatch.setattr(registry, "shipped_folder", lambda: folder)
    other = card.model_copy(update={"id": "another", "topology": "2d"})
    default = card.model_copy(update={"id": registry.DEFAULT_MODEL})
    save_model(folder / "another.safetensors", network, other)
    save_model(folder / "default.safetensors", network, default)
    return folder


def test_the_default_comes_first(shipped):
    assert [c.id for c in list_models()] == [registry.DEFAULT_MODEL, "another"]
    assert read_card().id == registry.DEFAULT_MODEL
    assert find_model("default") == shipped / "default.safetensors"


def test_the_users_own_models_are_found(shipped, own_models_folder, network, card):
    save_model(own_models_folder / "mine", network, card)
    assert find_model("tiny") == own_models_folder / "mine"
    assert "tiny" in [c.id for c in list_models()]


def test_a_path_is_a_model_too(shipped, tmp_path, network, card):
    path = save_model(tmp_path / "elsewhere.safetensors", network, card)
    assert read_card(path) == card
    assert read_card(str(path)) == card


def test_a_topology_picks_among_the_models(shipped):
    assert read_card("default", topology="2d").id == "another"
    with pytest.raises(ModelError, match="no model of topology 3d.*2d, 3to2d"):
        read_card("default", topology="3d")
    with pytest.raises(ModelError, match="another has topology 2d, not 3to2d"):
        read_card("another", topology="3to2d")


def test_an_unknown_model_lists_those_that_are_there(shipped):
    with pytest.raises(ModelError, match="no model called nope.*colony-3to2d, another"):
        find_model("nope")
    with pytest.raises(ModelError, match="no model file nope/model.safetensors"):
        find_model("nope/model.safetensors")


def test_a_folder_without_weights_is_refused(shipped, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"holds no model\.safetensors"):
        read_card(tmp_path / "empty")


def test_a_damaged_model_is_left_out_of_the_list_and_named_when_asked_for(
    shipped, own_models_folder, caplog
):
    (own_models_folder / "broken.safetensors").write_bytes(b"not a model")
    assert [c.id for c in list_models()] == [registry.DEFAULT_MODEL, "another"]
    assert "broken.safetensors is damaged" in caplog.text
    with pytest.raises(ModelError, match=r"broken\.safetensors is damaged"):
        find_model("broken")


def test_listing_models_loads_no_torch():
    code = (
        "import sys; from napari_sparsessp.models.library import list_models;"
        "list_models(); assert not {'torch', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
