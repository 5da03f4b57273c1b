"""A real napari window that scripts drive, and pictures of it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = 600.0


class Stage:
    """A viewer with napari's factory settings, on which a story is played.

    Parameters
    ----------
    folder : Path
        Pictures go there.
    theme : {"dark", "light"}
    size : (width, height)
        Of the window in pixels.
    """

    def __init__(self, folder: Path, theme: str, size: tuple[int, int]) -> None:
        import napari
        from napari.settings import get_settings

        get_settings().appearance.theme = theme
        self.folder = folder
        self.viewer = napari.Viewer(title="napari", show=False)
        self.window = self.viewer.window._qt_window
        self.window.resize(*size)
        self.window.show()
        self.frames: list[Any] | None = None

    def dock(self, name: str) -> Any:
        """Open a dock of ours from the menu, or bring it to the front."""
        from npe2 import PluginManager, PluginManifest

        docks, title = self.viewer.window.dock_widgets, f"{name} (SparseSSP)"
        if title not in docks:
            manifest = PluginManifest.from_distribution("napari-sparsessp")
            found = {one.display_name: one for one in manifest.contributions.widgets}
            make = PluginManager.instance().commands.get(found[name].command)
            self.viewer.window.add_dock_widget(make(self.viewer), name=title)
        dock = self.viewer.window.dock_widgets[title]
        holder = dock.parentWidget()
        holder.show()
        holder.raise_()
        wait(0.4)
        return dock

    def picture(self, name: str) -> None:
        """Save the whole window."""
        wait(0.7)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.png"
        self.viewer.screenshot(str(path), canvas_only=False, flash=False)
        print(path, flush=True)

    def look(self, until: Callable[[], Any], what: str, pause: float = 0.1) -> None:
        """Let the application work until something is true, filming where asked."""
        end = time.monotonic() + PATIENCE
        while not until():
            if time.monotonic() > end:
                raise SystemExit(f"waited in vain for {what}")
            wait(pause)
            self.film()

    def film(self) -> None:
        """Keep a frame, where a film is being made."""
        if self.frames is not None:
            picture = self.viewer.screenshot(canvas_only=False, flash=False)
            self.frames.append(picture)

    def close(self) -> None:
        """Close the window."""
        self.viewer.close()
        wait(0.3)


def save_film(frames: list[Any], path: Path, width: int, pause_ms: int) -> None:
    """Write frames as an animated WebP that plays for ever.

    Parameters
    ----------
    frames : list of ndarray
        RGBA, shape (H, W, 4).
    path : Path
    width : int
        Pixels of the film; the height follows.
    pause_ms : int
        From frame to frame; the last one stays longer.
    """
    from PIL import Image

    pictures = []
    for frame in frames:
        picture = Image.fromarray(frame).convert("RGB")
        height = round(width * picture.height / picture.width)
        pictures.append(picture.resize((width, height), Image.Resampling.LANCZOS))
    path.parent.mkdir(parents=True, exist_ok=True)
    pauses = [pause_ms] * (len(pictures) - 1) + [2500]
    first, *others = pictures
    first.save(
        path,
        save_all=True,
        append_images=others,
        duration=pauses,
        loop=0,
        quality=70,
        method=6,
    )
    print(path, flush=True)


def wait(seconds: float) -> None:
    """Let the application work."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def without_display() -> bool:
    """Whether a window needs a virtual screen."""
    return sys.platform.startswith("linux") and not os.environ.get("DISPLAY")


def under_xvfb(arguments: list[str], size: tuple[int, int]) -> int:
    """Start a script again on a virtual screen."""
    xvfb = shutil.which("xvfb-run")
    if xvfb is None:
        print("there is no display; install xvfb", file=sys.stderr)
        return 2
    screen = f"-screen 0 {size[0]}x{size[1]}x24"
    command = [xvfb, "-a", "-s", screen, sys.executable, *arguments]
    return subprocess.run(command, check=False).returncode
