"""Where models and samples are kept: variable, then choice, then the usual place."""

import pytest

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.files import (
    choose_folders,
    chosen_folders,
    folder_of,
    folders_file,
    usual_folder,
)
from napari_sparsessp.models.library import user_folder


@pytest.fixture(autouse=True)
def nothing_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSESSP_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("SPARSESSP_MODELS")
    monkeypatch.delenv("SPARSESSP_SAMPLES", raising=False)


def test_the_usual_places_are_two_folders():
    assert folder_of("models") == usual_folder("models")
    assert folder_of("samples") == usual_folder("samples")
    assert folder_of("models") != folder_of("samples")


def test_a_choice_holds_and_can_be_taken_back(tmp_path):
    choose_folders({"models": str(tmp_path / "mine")})
    assert user_folder() == tmp_path / "mine"
    assert folder_of("samples") == usual_folder("samples")
    choose_folders({"samples": str(tmp_path / "stacks")})
    assert user_folder() == tmp_path / "mine"
    choose_folders({"models": ""})
    assert user_folder() == usual_folder("models")
    assert folder_of("samples") == tmp_path / "stacks"


def test_the_variable_goes_before_the_choice(tmp_path, monkeypatch):
    choose_folders({"models": str(tmp_path / "mine")})
    monkeypatch.setenv("SPARSESSP_MODELS", str(tmp_path / "other"))
    assert user_folder() == tmp_path / "other"


@pytest.mark.parametrize("folder", ["relative/folder", "~nobody-at-all/x", "a\0b"])
def test_what_is_no_whole_path_is_refused(folder):
    with pytest.raises(InputError, match="whole path"):
        choose_folders({"models": folder})
    assert chosen_folders() == {}


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        choose_folders({"samples": str(tmp_path / "file")})


@pytest.mark.parametrize(
    "text",
    ["", "[1, 2]", "models: [a]", "models: relative", "{", "other: /x", "models: 3"],
)
def test_a_damaged_file_of_choices_chooses_nothing(text):
    folders_file().parent.mkdir()
    folders_file().write_text(text)
    assert user_folder() == usual_folder("models")


def test_a_choice_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "config").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="set SPARSESSP_MODELS"):
        choose_folders({"models": str(tmp_path / "mine")})
