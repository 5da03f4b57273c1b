import json

import pytest


def test_list_shows_the_users_own_models(sparsessp, small_model, own_models_folder):
    (own_models_folder / small_model.name).write_bytes(small_model.read_bytes())
    code, out, err = sparsessp("models", "list", "--quiet")
    assert code == 0
    assert "small" in out
    assert "2 structures" in out
    assert err == ""


def test_list_tells_of_a_damaged_model_and_goes_on(
    sparsessp, small_model, own_models_folder
):
    (own_models_folder / "broken.safetensors").write_bytes(b"\0" * 100)
    (own_models_folder / "small.safetensors").write_bytes(small_model.read_bytes())
    code, out, err = sparsessp("models", "list")
    assert code == 0
    assert "small" in out
    assert "broken.safetensors is damaged" in err


def test_show_tells_what_a_model_is(sparsessp, small_model):
    code, out, _ = sparsessp("models", "show", small_model)
    assert code == 0
    for fact in ("dna, golgi_apparatus", "0.29 × 0.29 × 0.29 µm", "sha256"):
        assert fact in out


def test_show_json_is_the_card(sparsessp, small_model):
    code, out, _ = sparsessp("models", "show", small_model, "--json")
    assert code == 0
    assert json.loads(out)["id"] == "small"


@pytest.mark.parametrize("content", [b"", b"\x80\x04.", b"PK\x03\x04zip", b"x" * 99])
def test_show_refuses_what_is_no_model(refused, tmp_path, content):
    (tmp_path / "m.safetensors").write_bytes(content)
    assert "m.safetensors" in refused("models", "show", tmp_path / "m.safetensors")


def test_an_unknown_model_is_named(refused):
    assert "no model called nope" in refused("models", "show", "nope")


def test_show_tells_where_a_model_comes_from(sparsessp, small_model, tmp_path):
    """Whatever its card says of it; an imported one has a format and a file."""
    from napari_sparsessp.models.library import load_model, save_model

    model = load_model(small_model)

    def shown(**source):
        card = model.card.model_copy(update={"source": source})
        path = save_model(tmp_path / "other.safetensors", model.network, card)
        return sparsessp("models", "show", path)[1]

    assert "imported      repmode, a.p" in shown(format="repmode", file="a.p")
    told = shown(script="scripts/train.py")
    assert "source        script: scripts/train.py" in told
    assert "None" not in told
    assert "imported" not in shown()
