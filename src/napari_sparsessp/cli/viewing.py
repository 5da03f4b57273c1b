"""Show a result in napari, from a process that must not import napari itself."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from napari_sparsessp.cli.console import Console

SECONDS_FOR_A_SCREENSHOT = 300
"""A first start compiles fonts and shaders; on a loaded machine that takes a while."""


@dataclass(frozen=True)
class Sight:
    """What to look at, and where a picture of it goes."""

    image: Path
    prediction: Path
    truth: Path
    screenshot: Path


def has_display() -> bool:
    """Whether a window would appear somewhere."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_window(console: Console, sight: Sight) -> None:
    """Show the result in napari until its window is closed."""
    if _has_napari(console):
        console.note("opening napari; close its window to end")
        _run(console, _command(sight), None)


def take_screenshot(console: Console, sight: Sight) -> bool:
    """Have napari draw the result on a virtual screen.

    Returns
    -------
    bool
        Whether the picture is there; if not, the console has said why.
    """
    xvfb = shutil.which("xvfb-run")
    if xvfb is None:
        console.note("there is no display; install xvfb to get a screenshot of napari")
        return False
    if not _has_napari(console):
        return False
    console.note("no display: taking a screenshot of napari instead")
    virtual = [xvfb, "-a", "-s", "-screen 0 1600x1000x24"]
    command = [*virtual, *_command(sight), "--screenshot", str(sight.screenshot)]
    sight.screenshot.unlink(missing_ok=True)
    _run(console, command, SECONDS_FOR_A_SCREENSHOT)
    return sight.screenshot.exists()


def _has_napari(console: Console) -> bool:
    if find_spec("napari") is not None:
        return True
    console.note("napari is not installed, so nothing is shown; install napari[pyqt6]")
    return False


def _command(sight: Sight) -> list[str]:
    paths = map(str, (sight.image, sight.prediction, sight.truth))
    return [sys.executable, "-m", "napari_sparsessp.ui.show", *paths]


def _run(console: Console, command: list[str], limit: float | None) -> None:
    """Run to the end; a failure is told, but the prediction stands without it."""
    silent = None if console.debug else subprocess.PIPE
    try:
        done = subprocess.run(
            command, timeout=limit, stdout=silent, stderr=silent, text=True, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        console.warning(f"napari could not be shown: {error}")
        return
    if done.returncode:
        said = (done.stderr or "").strip().splitlines()
        console.warning(
            f"napari could not be shown: {said[-1] if said else 'it gave no reason'}; "
            "see sparsessp demo --debug"
        )
