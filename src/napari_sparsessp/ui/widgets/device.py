"""Choose the device. Looking for GPUs imports torch: it happens when the list opens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from qtpy.QtCore import QEvent, QObject

from napari_sparsessp.ui.napari_compat import show_warning
from napari_sparsessp.ui.preferences import DEVICES, Preferences, preference_news
from napari_sparsessp.ui.tasks import BackgroundTask
from napari_sparsessp.ui.widgets.forms import Form

if TYPE_CHECKING:
    from napari_sparsessp.prediction.device import DeviceInfo

# id, label, tool tip; those without an id cannot be chosen
_FASTEST = "The fastest device that works here: CUDA, then MPS, then the CPU."
_AUTO = ("auto", "the fastest device (auto)", _FASTEST)
_CPU = ("cpu", "the CPU", "")
_LOOKING = ("", "looking for graphics cards…", "This takes a second or two.")


@dataclass(frozen=True)
class _Choice:
    device: Annotated[
        str,
        {
            "name": "Device",
            "tooltip": "Where the network runs. Open the list to look for graphics "
            "cards.",
            "choices": [_AUTO, _CPU, _LOOKING],
        },
    ] = "auto"


class DeviceBox(Form[_Choice]):
    """Devices of this machine, from `find` in a thread; unusable ones are off."""

    def __init__(self, find: "Callable[[], Sequence[DeviceInfo]]") -> None:
        super().__init__(_Choice)
        self._find: Callable[[], Sequence[DeviceInfo]] | None = find
        self._box = self.native("device")
        self._offer([_AUTO, _CPU, _LOOKING], off=[2])
        self._box.view().installEventFilter(self)
        self._followed = "auto"  # the choice that the preferences led to
        news = preference_news()
        self._prefer(news.now)
        news.changed.connect(self._on_preferences)

    def device(self) -> str:
        """Return the id of the chosen device."""
        return str(self.get("device"))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Look for devices when the list opens."""
        if event is not None and event.type() == QEvent.Type.Show:
            self._look()
        return False

    def _look(self) -> None:
        find, self._find = self._find, None
        if find is not None:
            task = BackgroundTask(lambda _progress: list(find()), parent=self)
            task.returned.connect(self.set_devices)
            # a broken torch must not break the list; running says what is wrong
            task.failed.connect(lambda _error: self.set_devices(()))
            task.start()

    def set_devices(self, devices: "Sequence[DeviceInfo]") -> None:
        """Offer these devices."""
        chosen, opened = self.device(), self._box.view().isVisible()
        listed = [info for info in devices if info.id != "auto"]
        names = (x.label if x.available else f"{x.label} – {x.reason}" for x in listed)
        choices = [
            (info.id, name, info.reason or info.label)
            for info, name in zip(listed, names, strict=True)
        ]
        if all(info.id != "cpu" for info in listed):
            choices.append(("cpu", "CPU", ""))
        off = [row for row, info in enumerate(listed, 1) if not info.available]
        self._offer([_AUTO, *choices], off)
        follows = chosen == self._followed
        self._choose(chosen)
        if follows:
            self._followed = self.device()
        if opened:  # the list keeps its old height otherwise
            self._box.hidePopup()
            self._box.showPopup()

    def _offer(
        self, choices: Sequence[tuple[str, str, str]], off: Sequence[int]
    ) -> None:
        """Offer choices in this order, some of which cannot be chosen."""
        with self.magic("device").changed.blocked():
            self.magic("device").choices = []
            self.offer("device", choices)
        model: Any = self._box.model()
        for row in off:
            model.item(row).setEnabled(False)

    def _choose(self, wanted: str) -> None:
        """Choose a device, or the first of a kind (``cuda``); else the fastest."""
        model: Any = self._box.model()
        for row in range(self._box.count()):
            id_ = str(self._box.itemData(row))
            if wanted not in (id_, id_.split(":")[0]):
                continue
            if model.item(row).isEnabled():
                self.update(device=id_)
                return
            text = self._box.itemText(row)
            show_warning(f"SparseSSP: {text}; the fastest is taken")
        self.update(device="auto")
        if wanted != "auto":
            self.changed.emit()

    def _prefer(self, preferred: Preferences) -> None:
        """Choose the preferred device; which GPUs there are is looked up first."""
        wanted = preferred.device
        if self._find is not None and wanted not in ("auto", "cpu"):
            name = next(words for words, id_ in DEVICES.items() if id_ == wanted)
            self._offer([_AUTO, _CPU, (wanted, name, ""), _LOOKING], off=[3])
            self.update(device=wanted)
            self._look()
        else:
            self._choose(wanted)
        self._followed = self.device()

    def _on_preferences(self, before: Preferences, now: Preferences) -> None:
        """Follow a new preference, unless another device was chosen in here."""
        if self.device() == self._followed and before.device != now.device:
            self._prefer(now)
            self.changed.emit()
