"""Walk through everything a user does, and take the pictures of README and docs.

``python tools/story.py`` plays on simulated cells and writes into ``docs/images``. The
real application is driven, with napari's factory settings, the shipped models and a
folder of models of its own. ``--scenes docks --out DIR`` takes a picture of each dock
in both themes, to compare before and after a change.
"""

import argparse
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
SIZE = (1600, 1000)
SMALL = (1280, 800)
CLIP_WIDTH = 960
PATIENCE = 600.0
# corners of a region, as shares of height and width
REGION = ((0.3, 0.3), (0.3, 0.6), (0.65, 0.6), (0.65, 0.3))
DOCKS = ("Predict", "Compare", "Plan sampling", "Models", "Train")


# the window ------------------------------------------------------------------------


class Stage:
    """A viewer with napari's factory settings, on which a story is played.

    Pictures go to `folder`; `theme` is dark or light, `size` the window's in pixels.
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
    """Write frames (H, W, 4) as an animated WebP; the last one stays longer."""
    from PIL import Image

    pictures = []
    for frame in frames:
        picture = Image.fromarray(frame).convert("RGB")
        height = round(width * picture.height / picture.width)
        pictures.append(picture.resize((width, height), Image.Resampling.LANCZOS))
    first, *others = pictures
    pauses = [pause_ms] * len(others) + [2500]
    film = {"save_all": True, "append_images": others, "duration": pauses, "loop": 0}
    first.save(path, quality=70, method=6, **film)
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


def main() -> int:
    """Play the scenes that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of pictures")
    names = list(SCENES)
    parser.add_argument("--scenes", nargs="+", choices=names, default=names[1:])
    options = parser.parse_args()
    if without_display():
        return under_xvfb([__file__, *sys.argv[1:]], SIZE)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["NAPARI_CONFIG"] = str(Path(scratch) / "settings.yaml")
        os.environ["SPARSESSP_MODELS"] = str(Path(scratch) / "models")
        dense = simulate(Path(scratch) / "dense", "48,160,160", 41)
        wide = simulate(Path(scratch) / "wide", "32,512,512", 7)
        for scene in options.scenes:
            SCENES[scene](options.out, dense, wide)
    return 0


def simulate(folder: Path, shape: str, seed: int) -> Path:
    """Make a dense colony with its truth, as `sparsessp simulate` does."""
    command = [sys.executable, "-m", "napari_sparsessp.cli", "simulate"]
    command += ["--out", str(folder), "--shape", shape, "--seed", str(seed), "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("*.ome.tif"))


# simulated cells ------------------------------------------------------------------


def sample(out: Path, dense: Path, wide: Path) -> None:
    """From the bundled sample to a judged prediction, in both themes."""
    for theme, name, layouts in (
        ("dark", "story_3", ("side", "swipe", "gallery")),
        ("light", "story_4_light", ("side",)),
    ):
        stage = Stage(out, theme, SIZE)
        predict = stage.dock("Predict")
        stage.viewer.open_sample("napari-sparsessp", "sparse_colony")
        middle(stage)
        stage.look(lambda dock=predict: dock.preview.plan is not None, "a plan")
        if theme == "light":
            stage.picture("1_ready_light")
        run(stage, predict)
        if theme == "dark":
            stage.picture("2_overlay_dark")
        compare(stage, name, layouts)
        if theme == "dark":
            measure(stage, name)
        stage.close()


def load_model_ahead(stage: Stage, dock: Any) -> None:
    """Wait until the model is loaded, as if the pointer were in the dock."""
    from qtpy.QtCore import QEvent
    from qtpy.QtWidgets import QApplication

    measured: list[object] = []
    dock.preloader.measured.connect(lambda *_: measured.append(1))
    QApplication.sendEvent(dock, QEvent(QEvent.Type.Enter))
    stage.look(lambda: bool(measured), "the model", 0.005)


def film(out: Path, dense: Path, wide: Path) -> None:
    """Tiles appear where one looks: the short film of the README."""
    stage = Stage(out, "dark", SMALL)
    predict = stage.dock("Predict")
    open_file(stage, predict, wide)
    middle(stage)
    predict.form.sampling.set_ratio(4.0)
    predict.form.sampling.set_simulate(True)
    predict.refresh_now()
    load_model_ahead(stage, predict)
    stage.viewer.scene.camera.zoom *= 1.7
    stage.frames = []
    for _ in range(5):
        stage.film()
    predict.run()
    stage.look(lambda: predict.run_in_progress is None, "the prediction", 0.05)
    check(predict)
    first = stage.viewer.dims.current_step[0]
    for step in range(12):
        stage.viewer.dims.set_current_step(0, first + step)
        wait(0.15)
        stage.film()
    save_film(changes(stage.frames), out / "story.webp", CLIP_WIDTH, 220)
    stage.close()


def changes(frames: list[Any]) -> list[Any]:
    """Leave out frames in which nothing new is to be seen on the canvas."""
    kept = frames[:5]
    for frame in frames[5:]:
        height, width = frame.shape[:2]
        canvas = slice(0, height), slice(width // 3, 2 * width // 3)
        moved = frame[canvas].astype(int) - kept[-1][canvas].astype(int)
        if abs(moved).mean() > 0.5:
            kept.append(frame)
    return kept


def plan(out: Path, dense: Path, wide: Path) -> None:
    """Tell how sparsely one may image."""
    stage = Stage(out, "dark", SIZE)
    dock = stage.dock("Plan sampling")
    open_file(stage, dock, dense)
    middle(stage)
    stage.look(lambda: dock.preview.seen.plan is not None, "a plan")
    dock.run()
    stage.look(lambda: dock.task is None, "the sweep")
    wait(0.5)
    dock.form.scroll.verticalScrollBar().setValue(10_000)
    stage.picture("story_5_plan")
    stage.close()


def train(out: Path, dense: Path, wide: Path) -> None:
    """Teach it one structure for a minute."""
    stage = Stage(out, "dark", SIZE)
    dock = stage.dock("Train")
    open_file(stage, dock, dense)
    middle(stage)
    wait(1.0)
    stage.picture("story_6_train_ready")
    dock.form.time.update(minutes=1.0)
    dock.train()
    stage.look(lambda: not dock.session.busy, "the training")
    stage.picture("story_7_train_done")
    models = stage.dock("Models")
    stage.look(lambda: models.form.table.entries, "the models")
    wait(1.0)
    stage.picture("story_8_models")
    stage.close()


def imports(out: Path, dense: Path, wide: Path) -> None:
    """The import dialog with a checkpoint of SparseSSP's form, but fewer channels."""
    sys.path.insert(0, str(ROOT / "tests"))
    import published
    from napari_sparsessp.ui.models.import_dialog import ImportState

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "sparsessp_3to2d_r8.pth"
        widths = {"encoder_widths": (8, 16, 32, 64, 128), "folded_width": 256}
        widths["decoder_widths"] = (16, 32, 64, 128)
        published.sparsessp(checkpoint, outputs=12, depth=32, **widths)
        stage = Stage(out, "dark", SIZE)
        predict = stage.dock("Predict")
        predict.shelf.importer.open(checkpoint)
        dialog = predict.shelf.importer.dialog
        stage.look(lambda: dialog.state is not ImportState.READING, "the checkpoint")
        wait(0.6)
        dialog.grab().save(str(out / "5_import_dark.png"))
        dialog.reject()
        stage.close()


def docks(out: Path, dense: Path, wide: Path) -> None:
    """Each dock as it opens beside the sample, in both themes; for comparisons."""
    for theme in ("dark", "light"):
        for name in DOCKS:
            stage = Stage(out, theme, SIZE)
            stage.viewer.open_sample("napari-sparsessp", "sparse_colony")
            stage.dock(name)
            wait(3.0)
            stage.picture(f"{name.lower().replace(' ', '_')}_{theme}")
            stage.close()


SCENES = {one.__name__: one for one in (docks, sample, film, plan, train, imports)}


# steps ----------------------------------------------------------------------------


def open_file(stage: Stage, dock: Any, path: Path) -> None:
    """Open a file as the dock's *Open file…* does."""
    dock._files.open(path)
    stage.look(lambda: len(stage.viewer.layers) > 0, str(path))
    wait(0.8)


def middle(stage: Stage) -> None:
    """Go to a plane with something to see."""
    depth = stage.viewer.dims.range[0]
    stage.viewer.dims.set_point(0, depth.start + 0.4 * (depth.stop - depth.start))
    wait(0.3)


def run(stage: Stage, predict: Any) -> None:
    """Press Run and wait."""
    predict.run()
    stage.look(lambda: predict.run_in_progress is None, "the prediction")
    check(predict)


def check(dock: Any) -> None:
    """End the story where the dock tells of an error."""
    if dock.form.foot.message.is_error:
        raise SystemExit(dock.form.foot.message.text.text())


def compare(stage: Stage, name: str, layouts: tuple[str, ...]) -> None:
    """Look at the prediction in these layouts."""
    dock = stage.dock("Compare")
    stage.look(lambda: not dock.comparison.queue.busy, "the scores")
    for layout in layouts:
        dock.form.picker.buttons[layout].click()
        wait(0.5)
        stage.look(lambda: not dock.comparison.queue.busy, "the scores")
        stage.picture(f"{name}_{layout}")
    dock.form.picker.buttons[""].click()
    wait(0.3)


def measure(stage: Stage, name: str) -> None:
    """Look from the side, then measure a region and a line."""
    from napari_sparsessp.ui.layers.viewport import layer_index

    dock, viewer = stage.dock("Compare"), stage.viewer
    dock.form.picker.buttons["side"].click()
    dock.form.section.button("xz").click()
    viewer.dims.set_point(1, sum(viewer.dims.range[1][:2]) / 2)
    stage.picture(f"{name}_xz")
    dock.form.picker.buttons[""].click()
    middle(stage)
    layer = next(iter(dock.comparison.predictions().values()))
    plane = int(layer_index(viewer, layer)[-3])
    height, width = layer.data.shape[-2:]
    corners = [[plane, y * height, x * width] for y, x in REGION]
    line = [corners[0], [plane, 0.8 * height, 0.9 * width]]
    place = {key: getattr(layer, key) for key in ("scale", "translate", "units")}
    drawn = viewer.add_shapes(
        [corners, line],
        shape_type=["ellipse", "line"],
        edge_color="yellow",
        face_color="transparent",
        name="drawn",
        **place,
    )
    panel = dock.form.regions
    panel.place.update(layer=drawn)
    panel.show_place()
    panel.button.click()
    stage.look(lambda: bool(panel.measured.rows), "the regions")
    wait(0.5)
    dock.form.scroll_to(dock.form.region_step)
    stage.picture(f"{name}_regions")


if __name__ == "__main__":
    sys.exit(main())
