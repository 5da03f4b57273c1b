"""The Models dock in a real viewer, opened from the manifest, on real files."""

import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QApplication

from fake_engine import light
from napari_sparsessp.models.library import DEFAULT_MODEL, card_of, load_model
from napari_sparsessp.models.manage import add_model
from napari_sparsessp.ui.dock import open_predict
from napari_sparsessp.ui.layers.metadata import KEY
from napari_sparsessp.ui.models import dock as models_dock
from napari_sparsessp.ui.models import import_dialog
from napari_sparsessp.ui.models.import_dialog import ImportState
from napari_sparsessp.ui.predict.dock import PredictDock
from napari_sparsessp.ui.preferences import model_news


@pytest.fixture(scope="session")
def thin(thin_folder):
    return thin_folder / "thin.safetensors"


@pytest.fixture
def own(own_models_folder, thin):
    """The user's folder with a model and a damaged file in it."""
    add_model(thin)
    (own_models_folder / "broken.safetensors").write_bytes(b"\0" * 50)
    return own_models_folder


@pytest.fixture
def models(viewer, own, qtbot):
    """The dock, with its list."""
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Models")
    qtbot.waitUntil(lambda: bool(dock.form.table.entries))
    return dock


@pytest.fixture
def done(qtbot):
    def wait(dock):
        qtbot.waitUntil(lambda: dock._work is None and dock._listing is None)

    return wait


def stems(dock):
    return {entry.path.stem for entry in dock.form.table.entries}


def choose(dock, stem):
    entries = dock.form.table.entries
    dock.form.table.choose(next(one.path for one in entries if one.path.stem == stem))
    dock._show_chosen()


def test_models_are_listed_default_first_and_checked(models, done):
    assert {DEFAULT_MODEL, "thin", "broken"} <= stems(models)
    assert models.form.table.current().card.id == DEFAULT_MODEL
    page = models.form.page
    assert not page.delete_button.isEnabled()
    assert "cannot be deleted" in page.delete_button.toolTip()
    choose(models, "broken")
    assert page.problem.is_error
    assert page.delete_button.isEnabled()
    assert not page.use_button.isEnabled()
    choose(models, "thin")
    page.check_button.click()
    assert not page.delete_button.isEnabled()
    done(models)
    assert page.verdict_text.text().startswith("Checked: ")
    choose(models, "broken")
    assert page.verdict.isHidden()


def test_a_deleted_model_comes_back_with_undo(models, own, done):
    told = []
    model_news().changed.connect(told.append)
    choose(models, "thin")
    models.form.page.delete_button.click()
    done(models)
    assert "thin" not in stems(models)
    assert not (own / "thin.safetensors").exists()
    assert not models.form.undo_button.isHidden()
    models.form.undo_button.click()
    done(models)
    assert "thin" in stems(models)
    assert models.form.table.current().path.stem == "thin"
    assert models.form.undo_button.isHidden()
    assert told == ["thin", "thin"]
    model_news().changed.disconnect(told.append)


def test_an_export_is_the_model(models, own, tmp_path, monkeypatch, done):
    out = tmp_path / "copy.safetensors"
    monkeypatch.setattr(models_dock, "choose_place", lambda _dock, _name: (out, False))
    choose(models, "thin")
    models.form.page.export_button.click()
    done(models)
    assert out.read_bytes() == (own / "thin.safetensors").read_bytes()
    assert str(out) in models.form.foot.status.text()
    models.form.page.export_button.click()  # never over what is there
    done(models)
    assert models.form.foot.message.text.text().endswith("; give another name.")


def test_a_package_for_other_programs_is_written(
    models, own, tmp_path, monkeypatch, done
):
    out = tmp_path / "thin.zip"
    monkeypatch.setattr(models_dock, "choose_place", lambda _dock, _name: (out, False))
    choose(models, "thin")
    models.form.page.export_button.click()
    done(models)
    assert str(out) in models.form.foot.status.text()
    with zipfile.ZipFile(out) as package:
        assert {"rdf.yaml", "weights.pt", "cover.jpg"} <= set(package.namelist())


@pytest.mark.parametrize(
    ("typed", "kind", "place"),
    [
        ("a/copy.safetensors", models_dock._FILE, "a/copy.safetensors"),
        ("a/copy", models_dock._FILE, "a/copy.safetensors"),
        ("a/v1.2", models_dock._FILE, "a/v1.2.safetensors"),
        ("a/copy.safetensors", models_dock._FOLDER, "a/copy"),
        ("a/thin.safetensors", models_dock._PACKAGE, "a/thin.zip"),
        ("a/thin.zip", models_dock._PACKAGE, "a/thin.zip"),
        ("a/v1.2", models_dock._PACKAGE, "a/v1.2.zip"),
        ("", "", None),
    ],
)
def test_a_copy_goes_where_the_user_says(monkeypatch, typed, kind, place):
    def answer(*_):
        return typed, kind

    monkeypatch.setattr(models_dock.QFileDialog, "getSaveFileName", answer)
    wanted = None if place is None else (Path(place), False)
    assert models_dock.choose_place(None, "thin") == wanted


def test_a_new_name_is_in_the_table_and_the_id_stays(models, own, done, monkeypatch):
    typed = [("thin", False), ("Liver nuclei", True)]  # the first time cancelled
    ask = "getText"
    monkeypatch.setattr(models_dock.QInputDialog, ask, lambda *_, text: typed.pop(0))
    choose(models, "thin")
    models.form.page.rename_button.click()
    assert models._work is None
    models.form.table.rename_asked.emit()
    done(models)
    assert models.form.table.current().name == "Liver nuclei"
    assert card_of(own / "thin.safetensors").id == "thin"
    load_model("thin")


def test_a_dropped_model_is_imported_and_offered_in_predict(
    models, viewer, own, tmp_path, thin, qtbot, done
):
    add_model(thin, id="copy").rename(tmp_path / "copy.safetensors")
    add_model(thin, id="from-the-command-line")
    QApplication.sendEvent(models, QShowEvent())  # as when its tab is chosen
    qtbot.waitUntil(lambda: "from-the-command-line" in stems(models))
    done(models)
    predict = open_predict(viewer)
    models.importer.open(tmp_path / "copy.safetensors")
    dialog = models.importer.dialog
    qtbot.waitUntil(lambda: dialog.state is ImportState.ASKING)
    with qtbot.waitSignal(dialog.imported):
        dialog.start_button.click()
    done(models)
    assert models.form.table.current().path.stem == "copy"
    assert "Licence: BSD-3-Clause" in models.form.foot.status.text()
    models.form.page.use_button.click()
    assert predict.form.topology.card().id == "copy"


def test_a_fetched_checkpoint_keeps_its_origin_and_predicts(
    models, viewer, file_server, tmp_path, qtbot, done, predict_on, ran
):
    import published

    published.repmode(tmp_path / "pair.p", ("dna", "lamin_b1"))
    file_server.files["pair.p"] = (tmp_path / "pair.p").read_bytes()
    models.ask_fetch()
    dialog = models.fetch_dialog
    dialog.form.native("address").setText(file_server.url("pair.p"))
    dialog.start_button.click()
    qtbot.waitUntil(lambda: models.importer.dialog is not None)
    asking = models.importer.dialog
    qtbot.waitUntil(lambda: asking.state is ImportState.ASKING)
    with qtbot.waitSignal(asking.imported):
        asking.start_button.click()
    done(models)
    entry = models.form.table.current()
    assert entry.card.source["fetched"] == file_server.url("pair.p")
    assert entry.origin == "imported from RepMode, fetched from 127.0.0.1"
    assert "SHA-256" in models.form.foot.message.text.text()

    dock = predict_on(light(8, 32, 48), scale=(0.29,) * 3)
    models.use()
    dock.refresh_now()
    assert "2 structures in 2 passes" in dock.form.foot.status.text()
    ran(dock)
    assert not dock.form.foot.message.is_error, dock.form.foot.message.text.text()
    first, second = (dock.layers.layer(id_) for id_ in ("dna", "nuclear_envelope"))
    assert np.isfinite(first.data).all()
    assert np.abs(first.data - second.data).max() > 0
    assert first.metadata[KEY]["request"]["model"] == entry.card.id


def test_the_menu_opens_dock_and_dialog(viewer, engine, monkeypatch):
    from napari._app_model import get_app_model

    asked = []
    monkeypatch.setattr(import_dialog, "choose_checkpoint", lambda p: asked.append(p))
    app = get_app_model()
    menu = app.menus.get_menu("napari/file/io_utilities")
    offered = [item.command.id for item in menu if hasattr(item, "command")]
    assert "napari-sparsessp.import_model" in offered
    app.commands.execute_command("napari-sparsessp.import_model").result()
    assert isinstance(asked[0], PredictDock)
    assert not asked[0].isHidden()


def test_stop_frees_the_dock_at_once_and_a_viewer_may_close(
    models, viewer, monkeypatch
):
    release = threading.Event()
    monkeypatch.setattr(
        models_dock, "verify", lambda _path, _progress: release.wait(30)
    )
    choose(models, "thin")
    models.form.page.check_button.click()
    assert not models.form.foot.cancel_button.isHidden()
    models.form.foot.cancel_button.click()
    assert models._work is None
    assert models.form.page.check_button.isEnabled()
    models.check()
    viewer.close()
    release.set()
    model_news().changed.emit("thin")
