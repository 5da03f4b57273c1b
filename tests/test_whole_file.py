"""A file is whole under its name, or not there."""

import pytest

from napari_sparsessp.errors import OutputError
from napari_sparsessp.files import atomic_write


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old", encoding="utf-8")
    with atomic_write(path) as part:
        part.write_text("new", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
    assert path.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_nothing_is_left_of_a_file_that_was_not_finished(tmp_path, error):
    def give_up():
        with atomic_write(tmp_path / "a.txt") as part:
            part.write_text("half", encoding="utf-8")
            raise error

    with pytest.raises(error):
        give_up()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(tmp_path):
    with (
        pytest.raises(OutputError, match="cannot write report .*No space.*; choose"),
        atomic_write(tmp_path / "a.json", "report"),
    ):
        raise OSError(28, "No space left on device")
