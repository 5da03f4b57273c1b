"""Where models and samples are kept: variable, then choice, then the usual place."""

import pytest

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.files import (
    LARGEST_YAML,
    atomic_write,
    choose_folders,
    chosen_folders,
    folder_of,
    folders_file,
    read_yaml,
    usual_folder,
)
from napari_sparsessp.models.library import user_folder


@pytest.fixture(autouse=True)
def nothing_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSESSP_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("SPARSESSP_MODELS")
    monkeypatch.delenv("SPARSESSP_SAMPLES", raising=False)


def test_a_choice_holds_can_be_taken_back_and_the_variable_goes_before_it(
    tmp_path, monkeypatch
):
    assert user_folder() == folder_of("models") == usual_folder("models")
    assert folder_of("models") != folder_of("samples")
    choose_folders({"models": str(tmp_path / "mine")})
    assert user_folder() == tmp_path / "mine"
    assert folder_of("samples") == usual_folder("samples")
    choose_folders({"samples": str(tmp_path / "stacks")})
    assert user_folder() == tmp_path / "mine"
    monkeypatch.setenv("SPARSESSP_MODELS", str(tmp_path / "other"))
    assert user_folder() == tmp_path / "other"
    monkeypatch.delenv("SPARSESSP_MODELS")
    choose_folders({"models": ""})
    assert user_folder() == usual_folder("models")
    assert folder_of("samples") == tmp_path / "stacks"


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        *((f, "whole path") for f in ("relative/folder", "~nobody-at-all/x", "a\0b")),
        (__file__, "is a file"),
    ],
)
def test_what_is_no_whole_path_of_a_folder_is_refused(folder, said):
    with pytest.raises(InputError, match=said):
        choose_folders({"models": folder})
    assert chosen_folders() == {}


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


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old", encoding="utf-8")
    with atomic_write(path) as part:
        part.write_text("new", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
    assert path.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (KeyboardInterrupt, KeyboardInterrupt, None),
        (
            OSError(28, "No space"),
            OutputError,
            "cannot write report .*: No space; ",
        ),
    ],
)
def test_nothing_is_left_of_a_file_that_was_not_finished(tmp_path, error, kind, said):
    def give_up():
        with atomic_write(tmp_path / "a.json", "report") as part:
            part.write_text("half", encoding="utf-8")
            raise error

    with pytest.raises(kind, match=said):
        give_up()
    assert list(tmp_path.iterdir()) == []


def test_yaml_and_json_are_read(tmp_path):
    for text in ("ratio: 4\n", '{"ratio": 4}'):
        (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
        assert read_yaml(tmp_path / "a.yaml", "request") == {"ratio": 4}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a: [1", "request .* is not valid YAML .line"),
        (b"\xff\xfe\xff", "not valid YAML"),
        (b"!!python/object/apply:os.system ['true']", "not valid YAML"),
        (b" " * (LARGEST_YAML + 1), "too large for a request"),
        (None, "cannot read request"),
    ],
)
def test_what_is_no_yaml_is_one_line(tmp_path, content, says):
    path = tmp_path / "a.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=says) as error:
        read_yaml(path, "request")
    assert "\n" not in str(error.value)
