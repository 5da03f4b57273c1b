"""Where models and samples are kept: variable, then choice, then the usual place."""

import errno
from contextlib import nullcontext

import pytest

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.files import (
    LARGEST_YAML,
    PartialOutput,
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


def test_a_user_without_a_home_has_no_folder_and_no_traceback(tmp_path, monkeypatch):
    import platformdirs

    def homeless(*_, **__):
        raise RuntimeError("could not determine the home directory")

    for name in ("user_data_path", "user_config_path"):
        monkeypatch.setattr(platformdirs, name, homeless)
    monkeypatch.delenv("SPARSESSP_CONFIG")
    assert chosen_folders() == {}
    assert not user_folder().exists()
    with pytest.raises(OutputError, match="set SPARSESSP_MODELS"):
        choose_folders({"models": str(tmp_path)})


@pytest.mark.parametrize(
    ("code", "known"),
    [("ENOLCK", True), ("EOPNOTSUPP", True), ("EIO", True), ("ENXIO", False)],
)
def test_an_output_is_written_where_files_cannot_be_locked(
    tmp_path, monkeypatch, code, known
):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(getattr(errno, code), "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    place = PartialOutput(tmp_path / "out.ome.zarr")
    with nullcontext() if known else pytest.raises(OSError, match="no locks here"):
        place.lock()
    place.unlock()
    assert not known or not any(tmp_path.iterdir())


def test_a_name_at_the_limit_has_room_for_what_is_beside_it(tmp_path):
    path = tmp_path / ("ä" * 123 + "a.ome.tif")  # 255 bytes
    place = PartialOutput(path)
    place.lock()
    place.folder.mkdir()
    with atomic_write(path) as part:
        part.write_text("whole", encoding="utf-8")
    place.clear()
    place.unlock()
    assert list(tmp_path.iterdir()) == [path]


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
