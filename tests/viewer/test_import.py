"""A published checkpoint in a real viewer: from the file to predicted layers."""

import numpy as np

from fake_engine import light
from napari_sparsessp.ui.engine import InstalledEngine
from napari_sparsessp.ui.layers.metadata import KEY
from napari_sparsessp.ui.models import import_dialog
from napari_sparsessp.ui.models.import_dialog import ImportState
from napari_sparsessp.ui.predict.dock import PredictDock


def test_repmode_is_used_after_two_clicks(
    predict_on, tmp_path, ran, own_models_folder, qtbot, monkeypatch
):
    import published

    path = tmp_path / "model_best_0100.p"
    published.repmode(path, ("dna", "lamin_b1"))
    dock = predict_on(light(8, 32, 48), scale=(0.29,) * 3)
    assert isinstance(dock._engine, InstalledEngine)
    monkeypatch.setattr(import_dialog, "choose_checkpoint", lambda _p: str(path))
    dock.shelf.importer.ask()
    dialog = dock.shelf.importer.dialog
    qtbot.waitUntil(lambda: dialog.state is not ImportState.READING)
    assert dialog.state is ImportState.ASKING, dialog.message.text.text()
    with qtbot.waitSignal(dialog.imported):
        dialog.start_button.click()
    card = dock.form.topology.card()
    assert (card.conditioning, card.scaling) == ("repmode", "zscore")
    assert (own_models_folder / f"{card.id}.safetensors").is_file()
    ids = [row.structure.id for row in dock.form.structures.rows]
    assert ids == list(card.structures) == ["dna", "nuclear_envelope"]
    dock.refresh_now()
    assert "2 structures in 2 passes" in dock.form.foot.status.text()

    ran(dock)
    assert not dock.form.foot.message.is_error, dock.form.foot.message.text.text()
    for id_ in ids:
        layer = dock.layers.layer(id_)
        assert layer.data.shape == (8, 32, 48)
        assert np.isfinite(layer.data).all()
        assert layer.data.std() > 0
        assert layer.metadata[KEY]["request"]["model"] == card.id
    first, second = (dock.layers.layer(id_).data for id_ in ids)
    assert np.abs(first - second).max() > 0


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
