"""YAML from people: read safely, or refused in one line."""

import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.files import LARGEST_YAML, read_yaml


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
    ],
)
def test_what_is_no_yaml_is_one_line(tmp_path, content, says):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says) as error:
        read_yaml(path, "request")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot read config"):
        read_yaml(tmp_path / "none.yaml", "config")
