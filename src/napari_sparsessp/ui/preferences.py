"""Set once what holds for every dock: device, memory, folders, colours, refresh.

The values stand on SparseSSP's page of napari's preferences, declared in
``napari.yaml``. Where napari has no such page, the same defaults hold for the session.
What cannot be used is said once, and the usual value is taken instead.
"""

import threading
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtGui import QColor

from napari_sparsessp.errors import InputError, SparseSSPError
from napari_sparsessp.files import Kind, choose_folders, chosen_folders
from napari_sparsessp.structures import find_structure, structure_or_custom
from napari_sparsessp.ui.napari_compat import plugin_settings, show_warning

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Palette = Literal["safe", "classic"]

# What the page shows, as napari.yaml has it, and what it means.
DEVICES: dict[str, Device] = {
    "automatic": "auto",
    "CPU": "cpu",
    "NVIDIA GPU (CUDA)": "cuda",
    "Apple GPU (MPS)": "mps",
}
PRECISIONS: dict[str, Precision] = {
    "automatic": "auto",
    "32 bits": "fp32",
    "16 bits (bfloat16)": "bf16",
    "16 bits (float16)": "fp16",
}
PALETTES: dict[str, Palette] = {
    "safe for colour-blind eyes": "safe",
    "classic": "classic",
}

_GB = 10**9
# The page tells of each letter of a path; a word half typed must change nothing.
_SETTLE_MS = 400


class Preferences(BaseModel):
    """What the user has set for all docks.

    Attributes
    ----------
    device, precision
        As in a `PredictionRequest`.
    memory_limit
        Bytes; None: whatever is sensible.
    own_colours
        Structure id to ``"#rrggbb"``.
    refresh_2d_ms, refresh_3d_ms
        Least pause in milliseconds between two drawings of a filling layer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Device = "auto"
    precision: Precision = "auto"
    memory_limit: int | None = None
    palette: Palette = "safe"
    own_colours: dict[str, str] = {}
    refresh_2d_ms: int = 100
    refresh_3d_ms: int = 700

    def colour(self, structure: str) -> str:
        """Return a structure's colour as ``"#rrggbb"``."""
        return colour_in(self.palette, self.own_colours, structure)


class PreferenceNews(QObject):
    """Read the page, and emit to all docks when it changes; there is only one.

    Parameters
    ----------
    page
        The settings as napari gives them; None where it has none.

    Attributes
    ----------
    has_page
        Whether napari shows the preferences.

    Signals
    -------
    changed(Preferences, Preferences)
        What held before, and what holds now.
    """

    changed = Signal(object, object)

    def __init__(self, page: Any | None) -> None:
        super().__init__()
        self._page: Any | None = None
        self.has_page = page is not None
        self._told: set[str] = set()
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self.settle)
        self.now = Preferences()
        self.follow(page)

    def follow(self, page: Any | None) -> None:
        """Read this page from now on; napari makes it anew when plugins change."""
        if page is None or page is self._page:
            return
        if self._page is not None:
            self._page.events.changed.disconnect(self._on_page)
        self._page = page
        _show_chosen_folders(page)
        page.events.changed.connect(self._on_page)
        self.settle()

    def settle(self) -> None:
        """Take over what the page says now."""
        self._settle.stop()
        before, folders = self.now, chosen_folders()
        self.now, problems = read_page(self._page)
        if chosen_folders().get("models") != folders.get("models"):
            model_news().changed.emit("")
        if self.now != before:
            self.changed.emit(before, self.now)
        for problem in problems:
            if problem not in self._told:
                show_warning(f"SparseSSP preferences: {problem}")
        self._told = set(problems)

    def _on_page(self, _event: Any = None) -> None:
        self._settle.start()


def read_page(page: Any | None) -> tuple[Preferences, list[str]]:
    """Return the preferences on a page, and write its folders down.

    Parameters
    ----------
    page
        napari's settings of this plugin.

    Returns
    -------
    list of str
        What could not be used; the usual value stands in for it.
    """
    if page is None:
        return Preferences(), []
    problems: list[str] = []
    predicting, looks, folders = page.predicting, page.looks, page.folders
    try:
        own: Mapping[str, str] = read_own_colours(str(looks.own_colours))
    except InputError as error:
        own = {}
        problems.append(str(error))
    wanted: dict[Kind, str] = {
        "models": str(folders.models_folder).strip(),
        "samples": str(folders.samples_folder).strip(),
    }
    for kind, folder in wanted.items():
        try:
            choose_folders({kind: folder})
        except SparseSSPError as error:
            problems.append(str(error))
    limit = round(float(predicting.memory_limit_gb), 1)
    found = Preferences(
        device=DEVICES.get(predicting.device, "auto"),
        precision=PRECISIONS.get(predicting.precision, "auto"),
        memory_limit=round(limit * _GB) or None,
        palette=PALETTES.get(looks.colours, "safe"),
        own_colours=dict(own),
        refresh_2d_ms=int(looks.refresh_2d_ms),
        refresh_3d_ms=int(looks.refresh_3d_ms),
    )
    return found, problems


def preference_news() -> PreferenceNews:
    """Return the only one of this process; for the interface's thread."""
    news = _news()
    news.follow(plugin_settings())
    return news


def preferences() -> Preferences:
    """Return what the user has set."""
    if threading.current_thread() is not threading.main_thread():
        # a Qt object belongs to the thread that makes it
        return _news().now if _news.cache_info().currsize else Preferences()
    return _news().now


@cache
def _news() -> PreferenceNews:
    return PreferenceNews(plugin_settings())


def _show_chosen_folders(page: Any) -> None:
    """Let a new page show the folders that an earlier one chose."""
    chosen = chosen_folders()
    folders = page.folders
    if chosen.get("models") and not folders.models_folder:
        folders.models_folder = chosen["models"]
    if chosen.get("samples") and not folders.samples_folder:
        folders.samples_folder = chosen["samples"]


CLASSIC: dict[str, str] = {
    "actin_filament": "#ff40ff",
    "actomyosin_bundle": "#c070ff",
    "cell_membrane": "#ff3838",
    "desmosome": "#ff9080",
    "dna": "#4d7dff",
    "endoplasmic_reticulum": "#ff9a1f",
    "golgi_apparatus": "#ffff40",
    "microtubule": "#20e0e0",
    "mitochondria": "#30e040",
    "nuclear_envelope": "#40b0ff",
    "nucleolus": "#ffc0e0",
    "tight_junction": "#b0ff40",
}
"""Colours as stains are often shown: blue nuclei, green mitochondria, red membranes.

Some of them look alike to colour-blind eyes; the catalogue's own do not.
"""


def read_own_colours(text: str) -> dict[str, str]:
    """Read colours as people write them.

    Parameters
    ----------
    text
        Such as ``"dna: cyan, nucleolus: #ff8800"``: a structure by any of its names
        or a model's own id, and a colour by its English name or as ``#rrggbb``.

    Returns
    -------
    dict
        Structure id to ``"#rrggbb"``.

    Raises
    ------
    InputError
        A part of it is no structure and colour.
    """
    found = {}
    for part in text.replace(";", ",").split(","):
        if not part.strip():
            continue
        name, _, wanted = (piece.strip() for piece in part.partition(":"))
        colour = QColor(wanted)
        if not name or not wanted or not colour.isValid():
            raise InputError(
                f"{part.strip()[:60]!r} is no structure with its colour; "
                "write for example dna: cyan, nucleolus: #ff8800"
            )
        found[_structure_id(name)] = colour.name()
    return found


def colour_in(palette: str, own: Mapping[str, str], structure: str) -> str:
    """Return a structure's colour.

    Parameters
    ----------
    own
        What the user chose, by structure id.
    structure
        Id; a model's own ones and deviations have colours too.

    Returns
    -------
    str
        ``"#rrggbb"``.
    """
    if structure in own:
        return own[structure]
    if palette == "classic" and structure in CLASSIC:
        return CLASSIC[structure]
    return structure_or_custom(structure).colour


def _structure_id(name: str) -> str:
    """Find the catalogue's id; anything else is a model's own."""
    try:
        return find_structure(name).id
    except InputError:
        return name


class ModelNews(QObject):
    """Emits when the user's models change; `model_news` returns the only one.

    Signals
    -------
    changed(str)
        Id of a model that is new, another, or gone.
    """

    changed = Signal(str)


@cache
def model_news() -> ModelNews:
    """Return the only one of this process; it outlives all viewers."""
    return ModelNews()
