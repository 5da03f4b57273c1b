"""A message in a dock names the control, never an option of the command line."""

import ast
import re
from pathlib import Path

import pytest
from qtpy.QtWidgets import QCheckBox, QLabel

import napari_sparsessp
from napari_sparsessp.ui.predict.form import PredictOptions
from napari_sparsessp.ui.widgets.basic import Foot, MessageBox
from napari_sparsessp.ui.widgets.controls import dock_words
from napari_sparsessp.ui.widgets.forms import Form

PACKAGE = Path(napari_sparsessp.__file__).parent


def messages():
    """Every text of the package beside its command line that names an option."""
    for path in PACKAGE.rglob("*.py"):
        if "cli" in path.parts or "ui" in path.parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts = (x for x in ast.walk(tree) if isinstance(x, ast.Constant))
        told = (str(x.value) for x in texts if id(x) not in docs)
        yield from (text for text in told if re.search("--[a-z]", text))


def test_no_message_of_the_engine_shows_an_option_in_a_dock(added):
    box, found = added(MessageBox()), list(messages())
    assert len(found) > 15
    for text in found:
        box.show_error(text)
        assert "--" not in box.text.text()
        box.show_notices([text] * 3)
        assert "--" not in box.text.text() + box.text.toolTip()


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("mask them (--mask-invalid)", "mask them (“Leave out NaN and infinite values” "
         "under More…)"),
        ("smaller tiles (--tile 32,128,128) or the CPU",
         "smaller tiles (“Memory, at most” under More…) or the CPU"),
        ("or predict to a file (sparsessp predict --out)",
         "or predict to a file (on the command line)"),
        ("give it with --ratio R (published: 2)",
         "give it with the sparsity ratio (published: 2)"),
        ("leave --some-thing out", "leave “some thing” out"),
        ("a file – with dashes - stays", "a file – with dashes - stays"),
    ],
)  # fmt: skip
def test_options_become_controls(message, shown):
    assert dock_words(message) == shown


def test_status_lines_name_controls_too_and_the_controls_exist(added):
    foot, form = Foot("the test"), added(Form(PredictOptions))
    added(foot).set_status("go on with --resume")
    assert foot.status.text() == "go on with “Resume”"
    named = [*form.findChildren(QLabel), *form.findChildren(QCheckBox)]
    labels = [one.text() for one in named if one.text()]
    for option in ("mask-invalid", "memory-limit"):
        assert any(label in dock_words(f"--{option}") for label in labels)
