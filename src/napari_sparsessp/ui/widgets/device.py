"""Choose the device. Looking for GPUs imports torch: it happens when the list opens."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox
from superqt.utils import create_worker

from napari_sparsessp.ui.napari_compat import show_warning
from napari_sparsessp.ui.preferences import DEVICES, Preferences, preference_news

if TYPE_CHECKING:
    from napari_sparsessp.prediction.device import DeviceInfo


_AUTO_TIP = "The fastest device that works here: CUDA, then MPS, then the CPU."


class DeviceBox(QComboBox):
    """Devices of this machine; those that cannot be used are off and say why.

    Parameters
    ----------
    find : callable
        Gives the devices; called in a worker thread when the list first opens.
    """

    changed = Signal()

    def __init__(self, find: "Callable[[], Sequence[DeviceInfo]]") -> None:
        super().__init__()
        self._find: Callable[[], Sequence[DeviceInfo]] | None = find
        self.setAccessibleName("Device")
        self.setToolTip(
            "Where the network runs. Open the list to look for graphics cards."
        )
        self.addItem("the fastest device (auto)", "auto")
        self.setItemData(0, _AUTO_TIP, Qt.ItemDataRole.ToolTipRole)
        self.addItem("the CPU", "cpu")
        self.activated.connect(lambda _i: self.changed.emit())
        self._followed = "auto"  # what the preferences made of it
        news = preference_news()
        self._prefer(news.now)
        news.changed.connect(self._on_preferences)

    def device(self) -> str:
        """Id of the chosen device."""
        return str(self.currentData())

    def showPopup(self) -> None:
        """Open the list, and look for devices the first time."""
        self._look()
        super().showPopup()

    def _look(self) -> None:
        """Look for devices in a thread, once."""
        if self._find is not None:
            find, self._find = self._find, None
            self.addItem("looking for graphics cards…", "")
            self._enable(self.count() - 1, False, "This takes a second or two.")
            create_worker(
                _safely,
                find,
                _connect={"returned": self.set_devices},
                _start_thread=True,
            )

    def set_devices(self, devices: "Sequence[DeviceInfo]") -> None:
        """Offer these devices."""
        chosen, opened = self.device(), self.view().isVisible()
        while self.count() > 1:
            self.removeItem(1)
        known = list(devices)
        for info in known:
            if info.id == "auto":
                continue
            self.addItem(info.label, info.id)
            self._enable(self.count() - 1, info.available, info.reason or info.label)
        if all(info.id != "cpu" for info in known):
            self.addItem("CPU", "cpu")
        follows = chosen == self._followed
        self._choose(chosen)
        if follows:
            self._followed = self.device()
        if opened:  # the list keeps its old height otherwise
            self.hidePopup()
            super().showPopup()

    def _choose(self, wanted: str) -> None:
        """Choose a device, or the first of a kind; the fastest where it is not there.

        Parameters
        ----------
        wanted : str
            ``cuda`` means the first NVIDIA GPU.
        """
        model: Any = self.model()
        for row in range(self.count()):
            if str(self.itemData(row)).split(":")[0] != wanted.split(":")[0]:
                continue
            if wanted not in (self.itemData(row), self.itemData(row).split(":")[0]):
                continue
            if model.item(row).isEnabled():
                self.setCurrentIndex(row)
                return
            show_warning(f"SparseSSP: {self.itemText(row)}; the fastest is taken")
        self.setCurrentIndex(0)
        if wanted != "auto":
            self.changed.emit()

    def _prefer(self, wish: Preferences) -> None:
        """Choose the preferred device; which GPUs there are is looked up first."""
        if self.findData(wish.device) < 0 and self._find is not None:
            name = next(words for words, id_ in DEVICES.items() if id_ == wish.device)
            self.addItem(name, wish.device)
            self.setCurrentIndex(self.count() - 1)
            self._look()
        else:
            self._choose(wish.device)
        self._followed = self.device()

    def _on_preferences(self, before: Preferences, now: Preferences) -> None:
        """Follow a new preference, unless another device was chosen in here."""
        if self.device() == self._followed and before.device != now.device:
            self._prefer(now)
            self.changed.emit()

    def _enable(self, row: int, on: bool, tip: str) -> None:
        model: Any = self.model()
        item = model.item(row)
        item.setEnabled(on)
        item.setToolTip(tip)
        if not on and tip and self.itemData(row):
            self.setItemText(row, f"{self.itemText(row)} – {tip}")


def _safely(find: "Callable[[], Sequence[DeviceInfo]]") -> "list[DeviceInfo]":
    """Find devices; a broken torch must not break the list (Run will tell)."""
    try:
        return list(find())
    except Exception:
        return []
