"""Models are listed, found, loaded and saved."""

import json
import os
import pickle
import shutil
import subprocess
import sys

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from napari_sparsessp.errors import ModelError, OutputError
from napari_sparsessp.models import library
from napari_sparsessp.models.library import (
    file_sha256,
    find_model,
    list_models,
    load_model,
    read_card,
    save_model,
)
from napari_sparsessp.models.weights import CARD_KEY


@pytest.fixture
def shipped(tmp_path, monkeypatch, network, card):
    folder = tmp_path / "weights"
    monkeypatch.setattr(library, "shipped_folder", lambda: folder)
    flat = {"topology": "2d", "network": card.network | {"topology": "2d"}}
    other = card.model_copy(update={"id": "another", **flat})
    default = card.model_copy(update={"id": library.DEFAULT_MODEL})
    save_model(folder / "another.safetensors", network, other)
    save_model(folder / "default.safetensors", network, default)
    return folder


def test_the_default_comes_first(shipped):
    assert [c.id for c in list_models()] == [library.DEFAULT_MODEL, "another"]
    assert read_card().id == library.DEFAULT_MODEL
    assert find_model("default") == shipped / "default.safetensors"


def test_the_users_own_models_are_found(shipped, own_models_folder, network, card):
    save_model(own_models_folder / "mine", network, card)
    assert find_model("tiny") == own_models_folder / "mine"
    assert "tiny" in [c.id for c in list_models()]


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
    assert [c.id for c in list_models()] == [library.DEFAULT_MODEL, "another"]
    assert "broken.safetensors is damaged" in caplog.text
    with pytest.raises(ModelError, match=r"broken\.safetensors is damaged"):
        find_model("broken")


def test_listing_models_loads_no_torch():
    code = (
        "import sys; from napari_sparsessp.models.library import list_models;"
        "list_models(); assert not {'torch', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def saved(tmp_path, network, card):
    return save_model(tmp_path / "tiny.safetensors", network, card)


def refuse(path, match):
    with pytest.raises(ModelError, match=match) as error:
        load_model(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("place", ["tiny.safetensors", "a/folder"])
def test_a_model_comes_back_as_it_was(tmp_path, network, card, place):
    network.eval()
    weights = save_model(tmp_path / place, network, card)
    model = load_model(tmp_path / place)
    image = torch.rand(1, 2, 8, 16, 16)
    assert torch.equal(model.network(image), network(image))
    assert model.card == read_card(str(weights)) == card
    assert model.sha256 == file_sha256(weights)
    assert model.path == tmp_path / place
    assert not model.network.training
    assert not any(p.requires_grad for p in model.network.parameters())


def test_a_folder_whose_weights_have_no_card_uses_the_one_beside(
    tmp_path, network, card
):
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "card.json").write_text(card.to_json())
    assert load_model(tmp_path).card == card
    written = tmp_path / "written"
    save_model(written, network, card)
    assert json.loads((written / "card.json").read_text())["id"] == "tiny"


def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path, network, card):
    save_model(tmp_path / "half.safetensors", network, card, dtype=torch.float16)
    model = load_model(tmp_path / "half.safetensors")
    assert {t.dtype for t in load_file(tmp_path / "half.safetensors").values()} == {
        torch.float16
    }
    assert all(p.dtype == torch.float32 for p in model.network.parameters())
    assert torch.allclose(model.network.head.weight, network.head.weight, atol=1e-3)


def test_a_pickle_is_refused_and_never_opened(tmp_path):
    witness = tmp_path / "was_run"

    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {witness}",)

    for name, protocol in (("old.p", 2), ("new.safetensors", 5)):
        (tmp_path / name).write_bytes(pickle.dumps(Hostile(), protocol=protocol))
        refuse(tmp_path / name, "is a pickle.*first: sparsessp models import")
    (tmp_path / "ascii.p").write_bytes(pickle.dumps(Hostile(), protocol=0))
    refuse(tmp_path / "ascii.p", "damaged")
    torch.save({"weights": Hostile()}, tmp_path / "model.pth")
    refuse(tmp_path / "model.pth", "is a pickle.*first: sparsessp models import")
    shutil.copy(tmp_path / "model.pth", tmp_path / "model.safetensors")
    refuse(tmp_path, "is a pickle.*first: sparsessp models import")
    assert not witness.exists()


@pytest.mark.parametrize("kept", [0, 4, 8, 100, -1, None])
def test_a_file_cut_off_or_with_something_appended_is_refused(saved, kept):
    whole = saved.read_bytes()
    saved.write_bytes(whole + b"more" if kept is None else whole[:kept])
    refuse(saved, "damaged|JSON")


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_a_damaged_byte_is_a_model_error_or_harmless(tmp_path, saved, data):
    content = bytearray(saved.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] = data.draw(st.integers(0, 255))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(content)
    try:
        load_model(broken)
    except ModelError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is fine


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"encoder_widths": (8, 4)}, "card: .* is 4, and the network needs 8"),
        ({"depth": 10**9}, "less than or equal to 1024"),
        ({"new_part": 1}, "no network can be built"),
    ],
)
def test_weights_that_do_not_fit_the_card_are_refused(
    tmp_path, network, card, changes, match
):
    other = card.model_copy(update={"network": card.network | changes})
    refuse(save_model(tmp_path / "m.safetensors", network, other), match)


def test_missing_and_surplus_weights_are_named(tmp_path, network, card):
    metadata = {CARD_KEY: card.to_json()}
    state = network.state_dict()
    weight = state.pop("head.weight")
    save_file(state, tmp_path / "less.safetensors", metadata)
    refuse(tmp_path / "less.safetensors", "head.weight is missing")
    state |= {"head.weight": weight, "surplus": torch.ones(2)}
    save_file(state, tmp_path / "more.safetensors", metadata)
    refuse(tmp_path / "more.safetensors", "surplus is 2, .* needs missing")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_neither_saved_nor_loaded(
    tmp_path, network, card, bad
):
    state = network.state_dict()
    state["head.bias"][1] = bad
    save_file(state, tmp_path / "nan.safetensors", {CARD_KEY: card.to_json()})
    refuse(tmp_path / "nan.safetensors", "NaN or infinite .head.bias")
    with pytest.raises(ModelError, match="NaN or infinite"):
        save_model(tmp_path / "again.safetensors", network, card)
    assert not (tmp_path / "again.safetensors").exists()


def test_a_failed_save_leaves_the_old_model_and_no_scraps(
    tmp_path, saved, network, card, monkeypatch
):
    before = saved.read_bytes()

    def disk_full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", disk_full)
    with pytest.raises(OutputError, match="No space left on device"):
        save_model(saved, network, card)
    assert saved.read_bytes() == before
    assert list(tmp_path.iterdir()) == [saved]
