"""SparseSSP's page of napari's preferences: what it says holds, at once, everywhere."""

from pathlib import Path

import pytest
import yaml

import napari_sparsessp
from napari_sparsessp.files import chosen_folders
from napari_sparsessp.ui import preferences as module
from napari_sparsessp.ui.predict.form import OptionsPanel
from napari_sparsessp.ui.preferences import (
    DEVICES,
    PALETTES,
    PRECISIONS,
    PreferenceNews,
    Preferences,
    model_news,
    preferences,
)
from napari_sparsessp.ui.widgets.structures import StructureModel


@pytest.fixture(autouse=True)
def own_choice_of_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSESSP_CONFIG", str(tmp_path))


@pytest.fixture
def page(plugin_settings, npe2pm):
    """Our page as napari makes it from the manifest, in a folder of its own."""
    from napari.settings import get_plugin_settings
    from npe2 import PluginManifest

    if "napari-sparsessp" not in npe2pm:
        npe2pm.register(PluginManifest.from_distribution("napari-sparsessp"))
    return get_plugin_settings("napari-sparsessp")


@pytest.fixture
def said(monkeypatch):
    said = []
    monkeypatch.setattr(module, "show_warning", said.append)
    return said


@pytest.fixture
def news(page, said, monkeypatch, qapp):
    news = PreferenceNews(page)
    monkeypatch.setattr(module, "_news", lambda: news)
    monkeypatch.setattr(module, "plugin_settings", lambda: page)
    return news


def test_the_page_and_the_code_have_the_same_words_and_defaults():
    path = Path(napari_sparsessp.__file__).with_name("napari.yaml")
    manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
    page = manifest["contributions"]["configurations"]
    predicting, looks = page["predicting"]["properties"], page["looks"]["properties"]
    assert predicting["device"]["enum"] == list(DEVICES)
    assert predicting["precision"]["enum"] == list(PRECISIONS)
    assert looks["colours"]["enum"] == list(PALETTES)
    fresh = Preferences()
    assert DEVICES[predicting["device"]["default"]] == fresh.device
    assert PRECISIONS[predicting["precision"]["default"]] == fresh.precision
    assert PALETTES[looks["colours"]["default"]] == fresh.palette
    assert looks["refresh_2d_ms"]["default"] == fresh.refresh_2d_ms
    assert looks["refresh_3d_ms"]["default"] == fresh.refresh_3d_ms


def test_a_fresh_page_and_a_napari_without_it_give_the_defaults(news):
    assert news.now == PreferenceNews(None).now == Preferences()
    assert news.has_page
    assert not PreferenceNews(None).has_page


def test_a_change_is_emitted_with_what_was_before(news, page, qtbot):
    with qtbot.waitSignal(news.changed) as told:
        page.predicting.device = "CPU"
        page.predicting.memory_limit_gb = 2.5
    before, now = told.args
    assert before == Preferences()
    assert (now.device, now.memory_limit) == ("cpu", 2_500_000_000)
    assert preferences() == now
    saved = yaml.safe_load(page.config_path.read_text())
    assert saved["predicting"]["device"] == "CPU"  # kept for the next session


def test_the_chosen_folder_is_known_to_the_command_line_as_well(
    news, page, tmp_path, qtbot
):
    with qtbot.waitSignal(model_news().changed):
        page.folders.models_folder = str(tmp_path / "mine")
    assert chosen_folders() == {"models": str(tmp_path / "mine")}


def test_another_page_shows_the_folder_that_was_chosen_before(page, tmp_path, qapp):
    (tmp_path / "folders.yaml").write_text(f"samples: {tmp_path / 'stacks'}\n")
    PreferenceNews(page)
    assert page.folders.samples_folder == str(tmp_path / "stacks")


def test_a_bad_value_falls_back_with_a_word_and_the_others_hold(
    news, page, said, tmp_path
):
    page.folders.models_folder = "not/whole"
    page.folders.samples_folder = str(tmp_path / "stacks")
    page.looks.own_colours = "dna: blurple"
    page.predicting.precision = "32 bits"
    news.settle()
    assert news.now == Preferences(precision="fp32")
    assert chosen_folders() == {"samples": str(tmp_path / "stacks")}
    assert len(said) == 2
    assert "no whole path" in said[1]
    news.settle()
    assert len(said) == 2  # once is enough


def test_half_a_word_changes_nothing(news, page, said):
    for end in range(1, 12):
        page.folders.models_folder = "/data/models"[:end]
    assert chosen_folders() == {}
    page.folders.models_folder = ""
    news.settle()
    assert chosen_folders() == {}
    assert said == []


def test_colours_of_the_table_change_at_once(news, page, qtbot):
    from qtpy.QtCore import Qt

    table = StructureModel()
    table.set_structures(("dna", "nucleolus"))
    page.looks.colours = "classic"
    page.looks.own_colours = "nucleolus: red"
    with qtbot.waitSignal(table.dataChanged):
        news.settle()
    role = Qt.ItemDataRole.DecorationRole
    colours = [table.index(row, 0).data(role).name() for row in (0, 1)]
    assert colours == ["#4d7dff", "#ff0000"]


def test_an_open_panel_follows_unless_the_user_typed_a_limit(news, page, qtbot, added):
    follows, typed = OptionsPanel(), OptionsPanel()
    for panel in (follows, typed):
        qtbot.addWidget(panel)
    typed.rows.native("memory_gb").setValue(8)
    page.predicting.memory_limit_gb = 3
    page.predicting.precision = "16 bits (bfloat16)"
    with qtbot.waitSignal(follows.changed):
        news.settle()
    assert follows.rows.values().memory_limit == 3_000_000_000
    assert typed.rows.values().memory_limit == 8_000_000_000
    later = added(OptionsPanel())
    assert later.rows.values().memory_limit == 3_000_000_000
    assert follows.summary.text() == "at most 3.0 GB · in 16 bits (bfloat16)"
