"""Preferences for all docks: device, memory, folders, colours, drawing.

napari draws the page from ``napari.yaml``; an unusable value is warned of once.
"""

import threading
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QColor
from superqt.utils import QSignalDebouncer

from napari_sparsessp.errors import InputError, SparseSSPError
from napari_sparsessp.files import Kind, choose_folders, chosen_folders
from napari_sparsessp.structures import find_structure, structure_or_custom
from napari_sparsessp.ui.napari_compat import plugin_settings, show_warning

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Palette = Literal["safe", "classic"]

# the words of the page, as napari.yaml has them
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

_FOLDERS: tuple[Kind, ...] = ("models", "samples")
_GB = 10**9
# the page changes with each letter of a path; a word half typed must change nothing
_SETTLE_MS = 400


class Preferences(BaseModel):
    """Preferences of the user; device and precision as in a `PredictionRequest`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Device = "auto"
    precision: Precision = "auto"
    memory_limit: int | None = None  # bytes; None is automatic
    palette: Palette = "safe"
    own_colours: dict[str, str] = {}  # structure id to "#rrggbb"
    # least pause between two drawings of a layer that fills
    refresh_2d_ms: int = 100
    refresh_3d_ms: int = 700

    def colour(self, structure: str) -> str:
        """Return a structure's colour as ``"#rrggbb"``."""
        if structure in self.own_colours:
            return self.own_colours[structure]
        if self.palette == "classic" and structure in CLASSIC:
            return CLASSIC[structure]
        return structure_or_custom(structure).colour


class PreferenceNews(QObject):
    """Reads the page and emits when it changes; `preference_news` returns the one."""

    changed = Signal(object, object)  # the former and the new preferences

    def __init__(self, page: Any | None) -> None:
        super().__init__()
        self._page: Any | None = None
        self.has_page = page is not None
        self._warned: set[str] = set()
        self._typing = QSignalDebouncer(parent=self)
        self._typing.setTimeout(_SETTLE_MS)
        self._typing.triggered.connect(self.settle)
        self.now = Preferences()
        self.follow(page)

    def follow(self, page: Any | None) -> None:
        """Read this page from now on; napari makes another when plugins change."""
        if page is None or page is self._page:
            return
        if self._page is not None:
            self._page.events.changed.disconnect(self._on_page)
        self._page = page
        # a new page has to show the folders that an earlier one chose
        chosen, folders = chosen_folders(), page.folders
        for kind in _FOLDERS:
            if chosen.get(kind) and not getattr(folders, f"{kind}_folder"):
                setattr(folders, f"{kind}_folder", chosen[kind])
        page.events.changed.connect(self._on_page)
        self.settle()

    def settle(self) -> None:
        """Take over the page as it is now."""
        self._typing.cancel()
        before, folders = self.now, chosen_folders()
        self.now, problems = read_page(self._page)
        if chosen_folders().get("models") != folders.get("models"):
            model_news().changed.emit("")
        if self.now != before:
            self.changed.emit(before, self.now)
        for problem in problems:
            if problem not in self._warned:
                show_warning(f"SparseSSP preferences: {problem}")
        self._warned = set(problems)

    def _on_page(self, _event: Any = None) -> None:
        self._typing.throttle()


def read_page(page: Any | None) -> tuple[Preferences, list[str]]:
    """Return the preferences on a page and its problems, and store its folders."""
    if page is None:
        return Preferences(), []
    problems: list[str] = []
    predicting, looks, folders = page.predicting, page.looks, page.folders
    own: dict[str, str] = {}
    try:
        own = read_own_colours(str(looks.own_colours))
    except InputError as error:
        problems.append(str(error))
    for kind in _FOLDERS:
        try:
            choose_folders({kind: str(getattr(folders, f"{kind}_folder")).strip()})
        except SparseSSPError as error:
            problems.append(str(error))
    limit = round(float(predicting.memory_limit_gb), 1)
    preferences = Preferences(
        device=DEVICES.get(predicting.device, "auto"),
        precision=PRECISIONS.get(predicting.precision, "auto"),
        memory_limit=round(limit * _GB) or None,
        palette=PALETTES.get(looks.colours, "safe"),
        own_colours=own,
        refresh_2d_ms=int(looks.refresh_2d_ms),
        refresh_3d_ms=int(looks.refresh_3d_ms),
    )
    return preferences, problems


def preference_news() -> PreferenceNews:
    """Return the only `PreferenceNews`; for the interface's thread."""
    news = _news()
    news.follow(plugin_settings())
    return news


def preferences() -> Preferences:
    """Return the preferences of now, in any thread."""
    here = threading.current_thread() is threading.main_thread()
    # a Qt object belongs to the thread that makes it
    made = here or _news.cache_info().currsize
    return _news().now if made else Preferences()


@cache
def _news() -> PreferenceNews:
    return PreferenceNews(plugin_settings())


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
    """Read the colours of structures, such as ``dna: cyan, nucleolus: #ff8800``."""
    colours = {}
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
        try:
            id_ = find_structure(name).id
        except InputError:  # a model's own
            id_ = name
        colours[id_] = colour.name()
    return colours


class ModelNews(QObject):
    """Emits when the user's models change; `model_news` returns the only one."""

    changed = Signal(str)  # id of the model; "" for another folder


@cache
def model_news() -> ModelNews:
    """Return the only `ModelNews`; it outlives all viewers."""
    return ModelNews()
