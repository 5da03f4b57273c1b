"""`sparsessp models import` and `fetch`, and what can be done with what they make."""

import hashlib
import io
import json

import numpy as np
import pytest

import published
from benchmarks.speed.viscy_layout import Layout, random_state, write_checkpoint
from napari_sparsessp.cli import models
from napari_sparsessp.models.library import read_card


@pytest.fixture
def repmode(tmp_path):
    path = tmp_path / "pair.p"
    published.repmode(path)
    return path


@pytest.fixture
def sparse(tmp_path):
    path = tmp_path / "weights.pth"
    published.sparsessp(path)
    return path


@pytest.fixture
def terminal(monkeypatch):
    """`terminal("a", "b")`: a user who types these lines."""

    def type_lines(*lines):
        monkeypatch.setattr(models, "is_terminal", lambda: True)
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{x}\n" for x in lines)))

    return type_lines


def test_a_file_that_answers_everything_is_imported_by_its_name_alone(
    sparsessp, repmode
):
    code, out, err = sparsessp("models", "import", repmode)
    assert code == 0
    assert "RepMode" in out
    assert "dna,nuclear_envelope   [in the file]" in out
    assert "zscore   [assumed: as published]" in out
    assert "may use these weights" in err
    assert read_card("pair").structures == ("dna", "nuclear_envelope")
    code, out, _ = sparsessp("models", "show", "pair")
    assert "imported" in out
    assert "RepMode, pair.p" in out


def test_a_network_of_viscy_is_asked_for_its_light_and_its_head(
    sparsessp, tmp_path, terminal
):
    layout = Layout(
        *(True, 2, 5, (5, 4, 4), (8, 8, 8, 16), (1, 1, 1, 1), 1), convolves=True
    )
    path = tmp_path / "vs.ckpt"
    write_checkpoint(path, layout, random_state(layout))
    code, out, _ = sparsessp("models", "import", path, "--no-head-pool")
    assert code == 0
    assert "head pool     no   [given]" in out
    assert "median_iqr   [assumed: as published]" in out
    assert read_card("vs").network["head_pool"] is False
    terminal("", "", "loud", "", "phase contrast", "maybe", "yes")
    code, _, err = sparsessp("models", "import", path, "--id", "asked")
    assert code == 0
    assert "whether the head averages pixels (yes, no) (VisCy's default" in err
    assert "'loud' is no scaling; write robust or zscore or median_iqr" in err
    assert "'maybe' is no answer; write yes or no" in err
    card = read_card("asked")
    assert (card.modality, card.units) == ("phase contrast", "iqr")
    assert card.network["head_pool"] is True


def test_what_nobody_can_know_is_asked_for_by_the_name_of_its_option(
    sparsessp, sparse, own_models_folder
):
    code, out, err = sparsessp("models", "import", sparse)
    assert code == 2
    assert "SparseSSP" in out
    assert err.count("\n") == 1
    assert "3 outputs" in err
    assert "--structures dna," in err
    code, _, err = sparsessp("models", "import", sparse, "--structures", "dna,er,zo1")
    assert code == 2
    assert "--ratio R" in err
    assert list(own_models_folder.iterdir()) == []


def test_options_fill_the_card(sparsessp, sparse, tmp_path):
    target = tmp_path / "mine.safetensors"
    code, out, _ = sparsessp(
        *("models", "import", sparse, "--id", "mine", "--name", "My net"),
        *("--structures", "dna,lamin_b1,my_stain", "--ratio", "4,8"),
        *("--voxel-size", "0.5,0.3,0.3", "--scaling", "robust"),
        *("--modality", "phase contrast", "--licence", "CC0", "--citation", "me"),
        *("--out", target, "--quiet"),
    )
    assert code == 0
    assert str(target) in out
    card = read_card(target)
    assert card.id == "mine"
    assert card.name == "My net"
    assert card.structures == ("dna", "nuclear_envelope", "my_stain")
    assert card.ratios == (4, 8)
    assert card.voxel_size == (0.5, 0.3, 0.3)
    assert card.scaling == "robust"
    assert (card.modality, card.licence) == ("phase contrast", "CC0")
    assert card.citation == "me"


def test_a_dry_run_shows_and_writes_nothing(sparsessp, repmode, own_models_folder):
    code, out, err = sparsessp("models", "import", repmode, "--dry-run")
    assert code == 0
    assert "parameters" in out
    assert "nothing was written" in err
    assert list(own_models_folder.iterdir()) == []


def test_on_a_terminal_the_rest_is_asked_with_suggestions(sparsessp, sparse, terminal):
    terminal("dna,dna,er", "dna,lamin_b1,er", "8", "", "zscore")
    code, out, err = sparsessp("models", "import", sparse)
    assert code == 0, err
    assert "named twice" in err
    (name,) = (line.split()[1] for line in out.splitlines() if line.startswith("id "))
    card = read_card(name)
    assert card.structures == ("dna", "nuclear_envelope", "endoplasmic_reticulum")
    assert card.ratios == (8,)
    assert card.voxel_size == (0.29, 0.29, 0.29)


@pytest.mark.parametrize(
    "options",
    [
        ("--ratio", "two"),
        ("--ratio", "nan"),
        ("--voxel-size", "0.29"),
        ("--id", "No Spaces"),
        ("--scaling", "loud"),
        ("--structures", "dna"),
    ],
)
def test_a_bad_option_is_one_line(sparsessp, repmode, options):
    code, _, err = sparsessp("models", "import", repmode, "--quiet", *options)
    assert code == 2
    assert err.count("\n") == 1
    assert options[0] in err or "structures are named" in err
    assert "Traceback" not in err


def test_a_pickle_given_for_a_model_is_told_to_be_imported(refused, repmode):
    for command in ("show", "export"):
        more = ["--out", repmode.parent / "x.safetensors"] * (command == "export")
        line = refused("models", command, repmode, *more)
        assert f"sparsessp models import {repmode}" in line


def _planes(folder, shape):
    path = folder / "x.npy"
    np.save(path, np.random.default_rng(0).normal(size=shape).astype(np.float32))
    return path


def test_import_run_export_and_verify_tell_one_story(sparsessp, repmode, tmp_path):
    """The imported and the exported model give what the checkpoint gives."""
    planes = _planes(tmp_path, (16, 8, 12))
    assert sparsessp("models", "import", repmode)[0] == 0
    folder = tmp_path / "copy"
    assert sparsessp("models", "export", "pair", "--out", folder)[0] == 0
    assert json.loads((folder / "card.json").read_text())["id"] == "pair"
    outputs = []
    for number, model in enumerate((repmode, "pair", folder)):
        out = tmp_path / f"{number}.npy"
        code, said, err = sparsessp(
            "models", "run", model, "--input", planes, "--out", out
        )
        assert code == 0, err
        assert "2×16×8×12 float32" in said
        outputs.append(np.load(out))
    assert outputs[0].dtype == np.float32
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], outputs[2])
    code, said, _ = sparsessp("models", "verify", folder)
    assert code == 0
    assert said.startswith("ok")


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


def test_a_file_that_only_claims_to_be_a_model_is_refused(sparsessp, file_server):
    file_server.files["x.safetensors"] = b"\x80\x04."
    code, _, err = sparsessp("models", "fetch", file_server.url("x.safetensors"))
    assert code == 2
    assert "is a pickle" in err
