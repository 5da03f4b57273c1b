"""One training under way, as the dock sees it: signals in the interface's thread."""

from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QApplication

from napari_sparsessp.ui.engine.link import InstalledEngine
from napari_sparsessp.ui.errand import Errand
from napari_sparsessp.ui.train.work import Feed, TrainJob, teach

# Often enough for a bar that moves, seldom enough to cost nothing.
_LOOK_MS = 150


class TrainRun(QObject):
    """Runs a job in a thread; exactly one of `finished` and `failed` ends it.

    Signals
    -------
    preparing : str
        What is done before the first step.
    stepped : Status
        The newest, some times a second.
    validated : dict
        An entry of the log.
    previewed : Preview
    noted : str
        Something that the user should know.
    finished : TrainResult
    failed : Exception
        `Stopped` where it was stopped before the first step.
    """

    preparing = Signal(str)
    stepped = Signal(object)
    validated = Signal(dict)
    previewed = Signal(object)
    noted = Signal(str)
    finished = Signal(object)
    failed = Signal(object)

    def __init__(
        self, job: TrainJob, engine: Any | None = None, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.job = job
        self._engine = InstalledEngine() if engine is None else engine
        self._feed = Feed()
        self._told: Any | None = None
        self._errand = Errand(teach, job, self._install, self._feed, parent=self)
        self._errand.progressed.connect(self._on_progress)
        self._errand.returned.connect(self._on_returned)
        self._errand.failed.connect(self._on_failed)
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self.look)
        # a window may go without being closed; these slots belong to nobody
        self.destroyed.connect(self._feed.stop)
        app = QApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self._feed.stop)

    def start(self) -> None:
        """Start the thread."""
        self._timer.start()
        self._errand.start()

    def stop(self, keep_best: bool) -> None:
        """Stop after this step, and save.

        Parameters
        ----------
        keep_best : bool
            Write the best state as a model, too; otherwise it can only go on later.
        """
        self._feed.keep_best = keep_best
        self._feed.stop()
        if not self._feed.learning:
            self._errand.stop()

    @property
    def learning(self) -> bool:
        """Whether the first step has been or is being made."""
        return self._feed.learning

    def look(self) -> None:
        """Tell everything that is new."""
        feed = self._feed
        while feed.notes:
            self.noted.emit(feed.notes.popleft())
        while feed.entries:
            self.validated.emit(feed.entries.popleft())
        if feed.previews:
            self.previewed.emit(feed.previews.pop())
        if feed.status is not None and feed.status is not self._told:
            self._told = feed.status
            self.stepped.emit(feed.status)

    def _install(self, path: Any) -> str:
        """Put the new model among the user's; runs in the thread."""
        return str(self._engine.bring_in(path, self._engine.inspect(path), {}))

    def _on_progress(self, what: str, _share: float) -> None:
        if what and not self._feed.learning:
            self.preparing.emit(what)
        elif self._told is None and self._feed.learning:
            self.preparing.emit("judging the model to begin with")

    def _on_returned(self, result: Any) -> None:
        self._timer.stop()
        self.look()
        self.finished.emit(result)

    def _on_failed(self, error: Exception) -> None:
        self._timer.stop()
        self.look()
        self.failed.emit(error)
