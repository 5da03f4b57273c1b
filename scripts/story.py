"""Walk through everything a user does, and take the pictures of README and docs.

``python scripts/story.py`` plays on simulated cells and writes into ``docs/images``;
``python scripts/story.py --real FOLDER --out PICTURES`` plays on the real stacks that
*File > Open Sample* fetches, or that lie in a folder. The real application is driven,
with napari's factory settings, the shipped models and a folder of models of its own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from stage import Stage, save_film, under_xvfb, wait, without_display

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs" / "images"
SIZE = (1600, 1000)
SMALL = (1280, 800)
CLIP_WIDTH = 960


def main() -> int:
    """Play the scenes that are asked for."""
    options = _options()
    if without_display():
        return under_xvfb([__file__, *sys.argv[1:]], SIZE)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["NAPARI_CONFIG"] = str(Path(scratch) / "settings.yaml")
        os.environ["SPARSESSP_MODELS"] = str(Path(scratch) / "models")
        if options.real is not None:
            real_field(options.out, options.real)
            real_pair(options.out, options.real)
            return 0
        dense = simulate(Path(scratch) / "dense", "48,160,160", 41)
        wide = simulate(Path(scratch) / "wide", "32,512,512", 7)
        for scene in options.scenes:
            SCENES[scene](options.out, dense, wide)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of pictures")
    parser.add_argument("--real", type=Path, help="folder with the real stacks")
    parser.add_argument(
        "--scenes", nargs="+", choices=list(SCENES), default=list(SCENES)
    )
    return parser.parse_args()


def simulate(folder: Path, shape: str, seed: int) -> Path:
    """Make a dense colony with its truth, as `sparsessp simulate` does."""
    command = [sys.executable, "-m", "napari_sparsessp.cli", "simulate"]
    command += ["--out", str(folder), "--shape", shape, "--seed", str(seed), "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("*.ome.tif"))


# simulated cells ------------------------------------------------------------------


def sample(out: Path, dense: Path, wide: Path) -> None:
    """From the bundled sample to a judged prediction."""
    stage = Stage(out, "dark", SIZE)
    predict = stage.dock("Predict")
    stage.viewer.open_sample("napari-sparsessp", "sparse_colony")
    middle(stage)
    stage.look(lambda: predict.preview.plan is not None, "a plan")
    run(stage, predict)
    stage.picture("2_overlay_dark")
    compare(stage, "story_3", ("side", "swipe", "gallery"))
    stage.close()
    light(out)


def light(out: Path) -> None:
    """The dock before Run, and the comparison, in the light theme."""
    stage = Stage(out, "light", SIZE)
    predict = stage.dock("Predict")
    stage.viewer.open_sample("napari-sparsessp", "sparse_colony")
    middle(stage)
    stage.look(lambda: predict.preview.plan is not None, "a plan")
    stage.picture("1_ready_light")
    run(stage, predict)
    compare(stage, "story_4_light", ("side",))
    stage.close()


def film(out: Path, dense: Path, wide: Path) -> None:
    """Tiles appear where one looks: the short film of the README."""
    stage = Stage(out, "dark", SMALL)
    predict = stage.dock("Predict")
    open_file(stage, predict, wide)
    middle(stage)
    predict.form.sampling.set_ratio(4.0)
    predict.form.sampling.set_simulate(True)
    predict.refresh_now()
    predict.preloader.notice_user()  # as if the pointer were in the dock
    wait(1.0)
    stage.look(lambda: not predict.preloader.busy, "the model")
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
    stage.look(lambda: dock.outlook.seen.plan is not None, "a plan")
    dock.run()
    stage.look(lambda: dock.current is None, "the sweep")
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
    dock.form.minutes.setValue(1.0)
    wait(0.5)
    dock.train()
    stage.look(lambda: not dock.running.busy, "the training")
    stage.picture("story_7_train_done")
    models = stage.dock("Models")
    stage.look(lambda: not models.is_busy, "the models")
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
        published.sparsessp(
            checkpoint,
            outputs=12,
            depth=32,
            encoder_widths=(8, 16, 32, 64, 128),
            decoder_widths=(16, 32, 64, 128),
            folded_width=256,
        )
        stage = Stage(out, "dark", SIZE)
        predict = stage.dock("Predict")
        predict.shelf.import_file(checkpoint)
        dialog = predict.shelf.dialog
        stage.look(lambda: dialog.state is not ImportState.READING, "the checkpoint")
        wait(0.6)
        dialog.grab().save(str(out / "5_import_dark.png"))
        dialog.reject()
        stage.close()


SCENES = {
    "sample": sample,
    "film": film,
    "plan": plan,
    "train": train,
    "imports": imports,
}


# real cells -----------------------------------------------------------------------


def real_field(out: Path, folder: Path) -> None:
    """A whole field of view without a truth; its pictures show other people's data."""
    for theme, size in (("dark", SIZE), ("light", SMALL)):
        stage = Stage(out, theme, size)
        predict = stage.dock("Predict")
        open_file(stage, predict, folder / "allen_hipsc_brightfield_fov.ome.tif")
        middle(stage)
        stage.picture(f"field_1_ready_{theme}")
        run(stage, predict)
        stage.picture(f"field_2_done_{theme}")
        compare(stage, f"field_3_{theme}", ("gallery",))
        stage.close()


def real_pair(out: Path, folder: Path) -> None:
    """Bright-field with its DNA: predict, compare, plan."""
    for theme, size in (("light", SIZE), ("dark", SMALL)):
        stage = Stage(out, theme, size)
        predict = stage.dock("Predict")
        open_file(stage, predict, folder / "allen_hipsc_dna_top.ome.tif")
        middle(stage)
        predict.shelf.offer("hipsc-dna")
        wait(0.5)
        run(stage, predict)
        stage.picture(f"pair_1_done_{theme}")
        compare(stage, f"pair_2_{theme}", ("side", "checkerboard"))
        dock = stage.dock("Plan sampling")
        stage.look(lambda d=dock: d.outlook.seen.plan is not None, "a plan")
        dock.run()
        stage.look(lambda d=dock: d.current is None, "the sweep")
        dock.form.scroll.verticalScrollBar().setValue(10_000)
        stage.picture(f"pair_3_plan_{theme}")
        stage.close()


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


if __name__ == "__main__":
    sys.exit(main())
