"""`sparsessp models list`, `show`, `export` and `verify`."""

import json
import zipfile

import pytest

from napari_sparsessp.models.library import shipped_folder


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
    _, out, _ = sparsessp("models", "show", small_model, "--json")
    assert json.loads(out)["id"] == "small"


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


def test_export_replaces_only_when_told_to(refused, sparsessp, small_model, tmp_path):
    out = tmp_path / "copy.safetensors"
    out.write_bytes(b"precious")
    line = refused("models", "export", small_model, "--out", out)
    assert "exists already" in line
    assert out.read_bytes() == b"precious"
    options = ("--out", out, "--overwrite")
    code, said, _ = sparsessp("models", "export", small_model, *options)
    assert (code, said.strip()) == (0, str(out))
    assert out.read_bytes() == small_model.read_bytes()


@pytest.mark.parametrize("format_", [(), ("--format", "bioimageio")])
def test_export_writes_a_package_for_other_programs(
    refused, sparsessp, small_model, tmp_path, format_
):
    """The ending says which format is meant; what it cannot be is refused."""
    out = tmp_path / "model.zip"
    options = ("models", "export", small_model, *format_, "--ratio", 2, "--out")
    code, said, _ = sparsessp(*options, out)
    assert (code, said.strip()) == (0, str(out))
    with zipfile.ZipFile(out) as package:
        assert b"ratio: 2" in package.read("rdf.yaml")
    assert "exists already" in refused(*options, out)
    native = tmp_path / "copy.safetensors"
    line = refused(*options, native)
    assert ("ends in .zip" if format_ else "--ratio is for") in line
    assert not native.exists()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_export_where_nothing_can_be_written_is_one_line(
    refused, small_model, tmp_path, place
):
    (tmp_path / "file").write_text("")
    line = refused("models", "export", small_model, "--out", tmp_path / place)
    assert "choose another place" in line


def test_verify_goes_through_all_models(sparsessp, small_model, own_models_folder):
    (own_models_folder / small_model.name).write_bytes(small_model.read_bytes())
    code, out, err = sparsessp("models", "verify", "--quiet")
    assert code == 0
    assert err == ""
    lines = out.splitlines()
    shipped = list(shipped_folder().glob("*.safetensors"))
    assert len(lines) == len(shipped) + 1
    assert all(line.startswith("ok ") for line in lines)
    assert any("colony-3to2d" in line for line in lines[:-1])


def test_verify_names_what_failed_and_goes_on(
    sparsessp, small_model, own_models_folder
):
    content = small_model.read_bytes()
    (own_models_folder / "a_broken.safetensors").write_bytes(content[:-1])
    (own_models_folder / "small.safetensors").write_bytes(content)
    code, out, err = sparsessp("models", "verify", "--quiet")
    assert code == 2
    assert "failed  a_broken" in out
    assert "ok      small" in out
    assert err.count("\n") == 1
    assert "a_broken cannot be trusted" in err
