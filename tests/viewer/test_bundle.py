"""A bundle of three in the docks: one row, one run, as any model."""

import shlex

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from bundled import MEMBERS, make
from fake_engine import light
from images import write_stack
from napari_sparsessp.cli.main import app_main
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.ui.layers.metadata import KEY
from napari_sparsessp.ui.models import dock as models_dock
from napari_sparsessp.ui.predict.form import RunState
from predicted import by_structure

DENSE = {"scale": (0.29,) * 3, "units": ("um",) * 3}
STRUCTURES = tuple(name for names in MEMBERS for name in names)


@pytest.fixture
def bundle(tmp_path, own_models_folder):
    return make(tmp_path / "members")


@pytest.fixture
def engine(thin_engine, own_models_folder, tmp_path, monkeypatch):
    """The real engine, for the next dock, which has nothing but the bundle."""
    monkeypatch.setenv("SPARSESSP_MODELS", str(own_models_folder))
    make(tmp_path / "members")
    thin_engine.shown = "several"
    return thin_engine


def test_it_predicts_is_cancelled_between_members_and_resumed(
    engine, predict_on, ran, finish, qtbot
):
    dock = predict_on(light(12, 40, 50), **DENSE)
    foot, total = dock.form.foot, 24
    assert dock.form.topology.model_id() == "several"
    assert "bundle of 3" in dock.form.topology.model_box.currentText()
    assert "4 structures by 3 networks" in foot.status.text()
    assert "tile 32×32" in dock.form.options.memory_note.text()
    ran(dock)
    assert not foot.message.is_error, foot.message.text.text()
    whole = {name: layer.data.copy() for name, layer in dock.layers.all().items()}
    assert tuple(whole) == STRUCTURES
    about = dock.layers.layer("nucleolus").metadata[KEY]["provenance"]
    assert about["model"]["id"] == "several"
    assert [one["id"] for one in about["members"]] == ["thin-0", "thin-1", "thin-2"]
    engine.hold_at = total // 3
    dock.run()
    qtbot.waitUntil(lambda: dock.session.run.done == total // 3)
    assert f"{total // 3} of {total} tiles" in foot.status.text()
    dock.cancel()
    engine.go.set()
    finish(dock)
    assert foot.state is RunState.RESUMABLE
    assert np.any(dock.layers.layer("dna").data)
    assert not np.any(dock.layers.layer("mitochondria").data)
    dock.resume()
    finish(dock)
    for name, layer in dock.layers.all().items():
        np.testing.assert_array_equal(layer.data, whole[name])


def test_the_copied_command_gives_the_numbers_of_the_dock(
    engine, predict_on, viewer, ran, qtbot, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    stack = light(8, 20, 24).astype(np.float32)
    path = write_stack(tmp_path / "stack.ome.tif", stack, "ZYX", (0.29,) * 3)
    dock = predict_on(None)
    with qtbot.waitSignal(dock._files.opened):
        dock._files.open(path)
    dock.refresh_now()
    dock.form.structures.tick(("mitochondria", "dna"))
    ran(dock)
    with qtbot.waitSignal(dock.export.exported):
        dock.form.foot.menu.copy_action.trigger()
    words = shlex.split(QApplication.clipboard().text())
    assert "--model=several" in words
    with pytest.raises(SystemExit) as end:
        app_main(words[1:])
    assert end.value.code == 0
    stored = load_volume(tmp_path / words[words.index("--out") + 1])
    for name, layer in by_structure(viewer).items():
        ours = stored.channel(name).numpy()
        np.testing.assert_allclose(ours, layer.data, atol=1e-5)


@pytest.fixture
def models(viewer, bundle, qtbot):
    """The Models dock, with the bundle chosen."""
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Models")
    qtbot.waitUntil(lambda: bool(dock.form.table.entries))
    dock.form.table.choose(bundle)
    dock._show_chosen()
    return dock


def test_it_is_shown_checked_exported_deleted_and_put_back(
    models, bundle, qtbot, tmp_path, monkeypatch
):
    page = models.form.page

    def done():
        qtbot.waitUntil(lambda: models._work is None and models._listing is None)

    assert page.title.text() == "Several · bundle of 3"
    texts = [label.text() for label in page.panels[-1].findChildren(type(page.title))]
    members = texts[texts.index("Members") + 1].splitlines()
    assert len(members) == 3
    assert members[1].startswith("Mitochondria: Thin 1 · ")
    assert members[1].endswith("kB")
    page.check_button.click()
    done()
    assert page.verdict_text.text().startswith("Checked: 3 members")
    monkeypatch.setattr(models_dock.QFileDialog, "getExistingDirectory",
                        lambda *_: str(tmp_path))  # fmt: skip
    page.export_button.click()
    done()
    assert (tmp_path / "several" / "bundle.json").is_file()
    page.delete_button.click()
    done()
    assert not bundle.exists()
    models.form.undo_button.click()
    done()
    assert models.form.table.current().path == bundle
    page.delete_button.click()
    done()
    with qtbot.waitSignal(models.importer.imported):
        models.importer.open(tmp_path / "several" / "bundle.json")
        dialog = models.importer.dialog
        qtbot.waitUntil(lambda: dialog.start_button.isEnabled())
        assert "Several · bundle of 3" in dialog.form.panel.headline.text()
        dialog.start_button.click()
    done()
    assert models.form.table.current().path == bundle
