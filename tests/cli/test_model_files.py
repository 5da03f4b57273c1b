"""`sparsessp models export` and `verify`."""

import pytest

from napari_sparsessp.models.library import shipped_folder


def test_export_copies_bit_by_bit(sparsessp, small_model, tmp_path):
    out = tmp_path / "copy.safetensors"
    code, said, _ = sparsessp("models", "export", small_model, "--out", out)
    assert code == 0
    assert said.strip() == str(out)
    assert out.read_bytes() == small_model.read_bytes()


def test_export_replaces_only_when_told_to(refused, sparsessp, small_model, tmp_path):
    out = tmp_path / "copy.safetensors"
    out.write_bytes(b"precious")
    line = refused("models", "export", small_model, "--out", out)
    assert "exists already" in line
    assert out.read_bytes() == b"precious"
    options = ("--out", out, "--overwrite")
    assert sparsessp("models", "export", small_model, *options)[0] == 0


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


def test_verify_of_an_unknown_model_is_one_line(refused):
    assert "no model called nope" in refused("models", "verify", "nope")
