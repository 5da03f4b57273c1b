"""What docs/training.md says can be copied."""

import re
from pathlib import Path

import yaml

from napari_sparsessp.training.config import Recipe, make_config

PAGE = Path(__file__).resolve().parents[2] / "docs" / "training.md"


def test_the_configs_of_the_page_are_valid():
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    whole = [yaml.safe_load(block) for block in blocks]
    configs = [make_config(values) for values in whole if "out" in values]
    assert len(configs) == 2
    make_config({**whole[0], "data": whole[-1]["data"]})


def test_the_recipes_are_those_of_the_page():
    page = PAGE.read_text(encoding="utf-8")
    fast, paper = Recipe(name="fast"), Recipe(name="paper")
    assert f"| batch | {paper.batch} | {fast.batch} |" in page
    assert f"running mean, {fast.average}" in page
    assert f"warm-up over {fast.warm_up:.0%}".replace("%", " %") in page
    assert f"noise {fast.noise[0]} to {fast.noise[1]}" in page
    assert f"clutter up to {fast.clutter}" in page


def test_the_python_of_the_page_runs():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    names = {}
    exec(code, names)
    assert names["resolved"].config.model.id == "mine"
