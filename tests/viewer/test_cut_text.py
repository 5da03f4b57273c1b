"""No text is cut in any dock: not when it is narrow, not at 150 % text size.

``python tests/cut_text.py 340 FOLDER`` saves what is looked at here.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from cut_text import cut_text

PROGRAM = Path(__file__).resolve().parents[1] / "cut_text.py"


@pytest.mark.parametrize(
    ("width", "dots_per_inch"),
    [(340, 96), (510, 144)],
    ids=["narrow", "150 percent"],
)
def test_no_text_is_cut_in_any_dock(width, dots_per_inch):
    environment = {
        **os.environ,
        "QT_FONT_DPI": str(dots_per_inch),
        "QT_SCALE_FACTOR": "1",
    }
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(width)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) >= 2  # a dock in two themes at least
    assert {place: cut for place, cut in found.items() if cut} == {}


def test_cut_text_is_found(qtbot):
    """The finder itself: what is too narrow or too low is told."""
    root = QWidget()
    qtbot.addWidget(root)
    column = QVBoxLayout(root)
    label, button, wrapped = QLabel("a long text"), QPushButton("a button"), QLabel()
    wrapped.setWordWrap(True)
    wrapped.setText("many words that need more than one line " * 3)
    for widget in (label, button, wrapped):
        column.addWidget(widget)
    root.resize(400, 300)
    root.show()
    assert cut_text(root) == []
    label.setFixedWidth(20)
    button.setFixedWidth(20)
    wrapped.setFixedHeight(12)
    qtbot.wait(50)
    assert [line.split(":")[0] for line in cut_text(root)] == [
        "QLabel",
        "QPushButton",
        "QLabel",
    ]
