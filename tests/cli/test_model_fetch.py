"""`sparsessp models fetch`, from a server on this machine."""

import hashlib

import pytest

import published
from napari_sparsessp.models.library import read_card


@pytest.fixture
def served(file_server, small_model):
    """Address and SHA-256 of the small model."""
    content = small_model.read_bytes()
    file_server.files["small.safetensors"] = content
    return file_server.url("small.safetensors"), hashlib.sha256(content).hexdigest()


def scraps(folder):
    return [path.name for path in (folder / ".downloads").glob("*")]


def test_a_model_is_added_with_its_origin_and_licence(
    sparsessp, served, own_models_folder
):
    url, sha256 = served
    code, out, err = sparsessp("models", "fetch", url, "--sha256", sha256)
    assert code == 0, err
    assert "BSD-3-Clause" in out
    assert "no checksum was given" not in err
    assert read_card("small").source == {"fetched": url, "fetched_sha256": sha256}
    assert scraps(own_models_folder) == []
    assert "fetched from 127.0.0.1" in sparsessp("models", "show", "small")[1]
    assert sparsessp("models", "verify", "small")[0] == 0


def test_without_a_checksum_the_one_found_is_told(sparsessp, served):
    code, out, err = sparsessp("models", "fetch", served[0])
    assert code == 0, err
    assert served[1] in out
    assert "no checksum was given; compare" in err


def test_a_wrong_checksum_adds_nothing(refused, served, own_models_folder):
    line = refused("models", "fetch", served[0], "--sha256", "0" * 64)
    assert "not the expected one" in line
    assert not list(own_models_folder.glob("*.safetensors"))
    assert "is no SHA-256" in refused("models", "fetch", served[0], "--sha256", "abc")


def test_a_model_of_the_same_id_is_not_replaced_unasked(refused, sparsessp, served):
    assert sparsessp("models", "fetch", served[0])[0] == 0
    code, _, err = sparsessp("models", "fetch", served[0])
    assert code == 2
    assert "small is installed already" in err
    named = ("--id", "other", "--name", "Other one")
    assert sparsessp("models", "fetch", served[0], *named)[0] == 0
    assert read_card("other").name == "Other one"
    assert sparsessp("models", "fetch", served[0], "--overwrite")[0] == 0


def test_answers_for_a_model_with_a_card_are_not_lost_without_a_word(sparsessp, served):
    code, _, err = sparsessp("models", "fetch", served[0], "--ratio", "8")
    assert code == 2
    assert "--ratio is for checkpoints" in err


def test_a_checkpoint_is_imported_with_the_answers_and_fetched_once(
    sparsessp, file_server, tmp_path, own_models_folder
):
    published.sparsessp(tmp_path / "best.pth")
    file_server.files["records/1/files/best.pth"] = (tmp_path / "best.pth").read_bytes()
    url = file_server.url("records/1/files/best.pth")
    code, _, err = sparsessp("models", "fetch", url, "--id", "mine")
    assert code == 2
    assert "--structures" in err
    assert "does not download it again" in err
    answers = ("--structures", "dna,golgi_apparatus,nucleolus", "--ratio", "4")
    code, out, err = sparsessp("models", "fetch", url, "--id", "mine", *answers)
    assert code == 0, err
    assert len(file_server.asked) == 1
    source = read_card("mine").source
    assert (source["format"], source["fetched"]) == ("SparseSSP", url)
    assert scraps(own_models_folder) == []


def test_what_is_no_model_is_refused_before_it_is_fetched(refused, file_server):
    line = refused("models", "fetch", file_server.url("page.html"))
    assert "the name of a model file" in line
    assert file_server.asked == []


def test_a_file_that_only_claims_to_be_a_model_is_refused(sparsessp, file_server):
    file_server.files["x.safetensors"] = b"\x80\x04."
    code, _, err = sparsessp("models", "fetch", file_server.url("x.safetensors"))
    assert code == 2
    assert "is a pickle" in err
