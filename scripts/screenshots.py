"""Make the pictures of the README: ``python scripts/screenshots.py [FOLDER]``.

Drives the real application on the bundled sample, with the shipped model and napari's
factory settings, and saves the window at each step. Without a display it starts itself
again under Xvfb.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs" / "images"
WINDOW = (1600, 1000)
PATIENCE = 300.0
PICTURES = {
    "light": {"ready": "1_ready_light.png", "import": "4_import_light.png"},
    "dark": {
        "overlay": "2_overlay_dark.png",
        "side": "3_side_by_side_dark.png",
        "import": "5_import_dark.png",
    },
}


def main() -> int:
    """Make all pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        return under_xvfb(folder)
    with tempfile.TemporaryDirectory() as settings:
        os.environ["NAPARI_CONFIG"] = str(Path(settings) / "settings.yaml")
        folder.mkdir(parents=True, exist_ok=True)
        for theme, wanted in PICTURES.items():
            tell_the_story(folder, theme, wanted)
    return 0


def under_xvfb(folder: Path) -> int:
    """Start again on a virtual screen."""
    xvfb = shutil.which("xvfb-run")
    if xvfb is None:
        print("there is no display; install xvfb", file=sys.stderr)
        return 2
    screen = f"-screen 0 {WINDOW[0]}x{WINDOW[1]}x24"
    command = [xvfb, "-a", "-s", screen, sys.executable, __file__, str(folder)]
    return subprocess.run(command, check=False).returncode


def tell_the_story(folder: Path, theme: str, wanted: dict[str, str]) -> None:
    """Open the sample, predict it and look at it in both layouts.

    Parameters
    ----------
    folder : Path
    theme : {"dark", "light"}
    wanted : dict
        File name of a picture by the moment at which it is taken: ``ready``,
        ``overlay``, ``side``, ``import``.
    """
    import napari
    from napari.settings import get_settings

    get_settings().appearance.theme = theme
    viewer = napari.Viewer(title="napari", show=False)
    window = viewer.window._qt_window
    window.resize(*WINDOW)
    window.show()
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")

    def picture(moment: str) -> None:
        if moment not in wanted:
            return
        wait(0.6)
        path = folder / wanted[moment]
        viewer.screenshot(str(path), canvas_only=False, flash=False)
        print(path)

    wait(0.3)
    viewer.open_sample("napari-sparsessp", "sparse_colony")
    viewer.dims.set_point(0, viewer.dims.range[0].stop * 0.4)
    wait_until(lambda: dock.outlook.plan is not None, "a plan")
    picture("ready")
    if "import" in wanted:
        picture_of_import(dock, folder / wanted["import"])
    if not wanted.keys() & {"overlay", "side"}:
        viewer.close()
        wait(0.2)
        return
    dock.run()
    wait_until(lambda: dock.run_in_progress is None, "the prediction")
    if dock.form.foot.message.is_error:
        raise SystemExit(dock.form.foot.message.text.text())
    picture("overlay")
    dock.show_layout("side")
    picture("side")
    viewer.close()
    wait(0.2)


def picture_of_import(dock: Any, path: Path) -> None:
    """Show the import dialog with a checkpoint of SparseSSP's form, but fewer channels.

    Parameters
    ----------
    dock : PredictDock
    path : Path
        Of the picture.
    """
    from napari_sparsessp.ui.import_dialog import ImportState

    sys.path.insert(0, str(ROOT / "tests"))
    import published

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "sparsessp_3to2d_r8.pth"
        published.sparsessp(
            checkpoint,
            outputs=12,
            depth=32,
            encoder_widths=(8, 16, 32, 64, 128),
            decoder_widths=(16, 32, 64, 128),
            folded_width=256,
        )
        dock.shelf.import_file(checkpoint)
        dialog = dock.shelf.dialog
        wait_until(lambda: dialog.state is not ImportState.READING, "the checkpoint")
        wait(0.6)
        dialog.grab().save(str(path))
        dialog.reject()
    print(path)


def wait(seconds: float) -> None:
    """Let the application work."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def wait_until(condition: Callable[[], Any], what: str) -> None:
    """Let the application work until something is true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain for {what}")
        wait(0.05)


if __name__ == "__main__":
    sys.exit(main())
