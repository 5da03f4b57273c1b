"""Numbers in the documents are those that their script gives."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch

from napari_sparsessp.networks import NetworkConfig

pytest.importorskip("transformers", reason="docs/networks.md counts 2D backbones")
SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "table6.py"


@pytest.fixture(scope="module")
def table6():
    """The script as a module."""
    found = importlib.util.spec_from_file_location("table6", SCRIPT)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name", ["families", "mappings", "slim", "counts", "table6", "speed"]
)
def test_docs_of_networks_are_up_to_date(table6, name):
    """Otherwise: python -m benchmarks.claims.network_tables."""
    page = table6.PAGE.read_text(encoding="utf-8")
    assert table6.filled(page, name, getattr(table6, name)()) == page


def test_all_generated_parts_are_checked(table6):
    page = table6.PAGE.read_text(encoding="utf-8")
    assert page.count("<!-- /") == 6


def test_a_page_without_markers_is_refused(table6):
    with pytest.raises(SystemExit, match="no markers"):
        table6.filled("a page", "counts", "text")


def test_the_examples_build_what_they_say(table6):
    """Python of the page runs as it is; without memory, on the meta device."""
    page = table6.PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {}
    with torch.device("meta"):
        exec(code, names)
    assert names["prediction"].shape == (1, 2, 32, 128, 128)


def test_every_description_in_the_docs_exists(table6):
    page = table6.PAGE.read_text(encoding="utf-8")
    found = re.findall(r"`(NetworkConfig\(.*?\))` \|", page)
    assert len(found) >= 8
    for text in found:
        assert isinstance(eval(text, {"NetworkConfig": NetworkConfig}), NetworkConfig)
