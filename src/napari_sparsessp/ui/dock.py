"""The base of the docks: a form, changes that settle, layer events, keys and tasks."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QKeySequence, QShortcut, QShowEvent
from qtpy.QtWidgets import QDockWidget, QMainWindow, QSizePolicy, QWidget
from superqt.utils import QSignalDebouncer

from napari_sparsessp.ui.napari_compat import follow_layers
from napari_sparsessp.ui.tasks import BackgroundTask, error_details, readable_error
from napari_sparsessp.ui.widgets.basic import (
    NARROWEST,
    Foot,
    Step,
    StepColumn,
    in_a_column,
)
from napari_sparsessp.ui.widgets.style import Dress

if TYPE_CHECKING:
    from napari_sparsessp.prediction.request import PredictionRequest

_WIDTH, _HEIGHT = 412, 760

# napari ends the title of a dock from its menus with the plugin's display name, and of
# one that a program has opened with the package's.
_OURS = ("(SparseSSP)", "(napari-sparsessp)")


class StepForm(QWidget):
    """Steps that read from top to bottom and scroll, over a footer that stays.

    Subclasses make their widgets and call `arrange`.
    """

    foot: Any
    scroll: StepColumn

    def __init__(self, width: int = _WIDTH) -> None:
        super().__init__()
        self._width = width
        Dress(self)

    def arrange(
        self,
        steps: Iterable[tuple[Step, Iterable[QWidget]]],
        foot: Foot,
        below: int = 8,
    ) -> None:
        """Put widgets into their steps, and the steps above the footer."""
        steps = [(step, tuple(bodies)) for step, bodies in steps]
        for step, bodies in steps:
            for body in bodies:
                step.body.addWidget(body)
        self.foot = foot
        self.scroll = StepColumn([step for step, _ in steps], below)
        self.scroll.end()
        in_a_column(self, self.scroll, foot, spacing=0).setStretch(0, 1)
        self.setMinimumWidth(NARROWEST)

    def sizeHint(self) -> QSize:
        """Ask for a width at which nothing is cut."""
        return QSize(self._width, _HEIGHT)

    def scroll_to(self, step: Step) -> None:
        """Scroll so that a step is at the top, as far as that goes."""
        self.scroll.ensureWidgetVisible(step, 0, 0)
        bar = self.scroll.verticalScrollBar()
        bar.setValue(min(step.y(), bar.maximum()))


class Dock(QWidget):
    """Base of the docks: wiring that all of them need.

    A subclass makes its form, calls `fill`, connects its signals (to `settle` where a
    change may change the plan), and implements `refresh`.
    """

    form: Any

    def __init__(self, viewer: Any, settle_ms: int = 60) -> None:
        super().__init__()
        self._viewer = viewer
        self._layers_changed = False
        self._settle = QSignalDebouncer(parent=self)
        self._settle.setTimeout(settle_ms)
        self._settle.triggered.connect(self.refresh)
        self._placed = False

    def refresh(self) -> None:
        """Show what holds now; runs once after changes have settled."""
        raise NotImplementedError

    def settle(self, *_: object) -> None:
        """Call `refresh` soon, once for all changes until then."""
        self._settle.throttle()

    def refresh_now(self) -> None:
        """Call `refresh` at once; what waited for it is done with it."""
        self._settle.cancel()
        self.refresh()

    def fill(self, form: QWidget) -> None:
        """Let a form take all of the dock."""
        self.form = form
        in_a_column(self, form)
        # without it napari puts an empty stretch below the form
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def showEvent(self, event: QShowEvent) -> None:
        """Join our docks that are open, when it is first shown."""
        super().showEvent(event)
        if not self._placed:
            self._placed = True
            QTimer.singleShot(0, self._join_others)  # napari has still to place it

    def _join_others(self) -> None:
        own = _dock_of(self)
        window = None if own is None else own.parentWidget()
        if own is None or not isinstance(window, QMainWindow):
            return
        for other in window.findChildren(QDockWidget):
            inside = other.widget()
            ours = other.windowTitle().endswith(_OURS)
            if other is not own and ours and other.isVisible() and inside is not None:
                bring_beside(inside, own)
                return

    def follow_layers(self) -> None:
        """Settle whenever layers come, go, move or are renamed.

        `take_layer_changes` says in `refresh` whether they did.
        """
        follow_layers(self._viewer, self._on_layers)

    def _on_layers(self, _event: Any = None) -> None:
        if isalive(self):
            self._layers_changed = True
            self.settle()

    def take_layer_changes(self) -> bool:
        """Return whether layers have changed since this was asked last."""
        changed, self._layers_changed = self._layers_changed, False
        return changed

    def open_gallery(self) -> None:
        """Show published models beside this dock."""
        open_gallery(self._viewer, beside=self)

    def add_shortcut(self, keys: str, slot: Callable[[], None]) -> None:
        """Bind keys to a slot, wherever in the dock the focus is."""
        add_shortcut(self.form, keys, slot)

    def run_task(
        self,
        function: Callable[..., Any],
        *args: Any,
        returned: Callable[[Any], None],
        failed: Callable[[Exception], None] | None = None,
        what: str = "the work",
    ) -> BackgroundTask:
        """Run a function in the background; it is cancelled with the dock."""
        task = BackgroundTask(function, *args, parent=self)
        task.returned.connect(returned)
        task.failed.connect(failed or partial(self.show_error, what=what))
        for ended in (task.returned, task.failed, task.cancelled):
            ended.connect(task.deleteLater)
        task.start()
        return task

    def show_error(
        self,
        error: Exception,
        what: str = "the work",
        request: "PredictionRequest | None" = None,
    ) -> None:
        """Show an error in the footer, with details to copy."""
        readable = readable_error(error, what)
        details = error_details(readable, request)
        self.form.foot.message.show_error(str(readable), details)


def add_shortcut(widget: QWidget, keys: str, slot: Callable[[], None]) -> None:
    """Bind keys to a slot, for a widget and all that is in it."""
    shortcut = QShortcut(QKeySequence(keys), widget)
    shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    shortcut.activated.connect(slot)


def open_predict(viewer: Any, beside: QWidget | None = None) -> Any:
    """Bring a viewer's Predict dock to the front; open it where there is none."""
    return _open("Predict", viewer, beside)


def open_gallery(viewer: Any, beside: QWidget | None = None) -> Any:
    """Do so with the Models dock, and show the gallery in it."""
    dock = _open("Models", viewer, beside)
    dock.form.show_page("gallery")
    return dock


def _open(name: str, viewer: Any, beside: QWidget | None) -> Any:
    docks = viewer.window.dock_widgets
    titles = [f"{name} {ours}" for ours in _OURS]
    dock = next((docks[title] for title in titles if title in docks), None)
    if dock is None:
        from npe2 import PluginManager

        command = f"napari-sparsessp.{name.lower()}"
        make: Any = PluginManager.instance().commands.get(command)
        dock = make(viewer)
        viewer.window.add_dock_widget(dock, name=titles[0], area="right")
    dock = getattr(dock, "__wrapped__", dock)  # napari's proxy takes it for its own
    holder = _dock_of(dock)
    if beside is not None and holder is not None:
        bring_beside(beside, holder)
    elif holder is not None:
        holder.show()
        holder.raise_()
    return dock


def bring_beside(widget: QWidget, other: QDockWidget) -> None:
    """Let another dock share the place of the one that a widget is in, and show it.

    A dock that the user has put somewhere else, or has torn off, stays there.
    """
    own = _dock_of(widget)
    window = None if own is None else own.parentWidget()
    if own is not None and isinstance(window, QMainWindow):
        together = window.dockWidgetArea(own) == window.dockWidgetArea(other)
        floating = own.isFloating() or other.isFloating()
        if together and not floating and other not in window.tabifiedDockWidgets(own):
            window.tabifyDockWidget(own, other)
    other.show()
    other.raise_()


def _dock_of(widget: QWidget) -> QDockWidget | None:
    own: QWidget | None = widget
    while own is not None and not isinstance(own, QDockWidget):
        own = own.parentWidget()
    return own
