"""How fast this machine is: learnt from each prediction, used to foretell the next."""

from typing import TYPE_CHECKING

from napari_sparsessp.prediction.turns import TURNS

if TYPE_CHECKING:
    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.prediction.report import Report


def turns_of(plan: "Plan") -> int:
    """How often the network sees each tile, because of what was asked for."""
    request = plan.request
    return len(TURNS) if request.tta or request.uncertainty else 1


def work_of(plan: "Plan") -> float:
    """Voxels that go through the network, in millions.

    What a tile reads beyond its core is computed as well.
    """
    read = sum(
        (tile.z[1] - tile.z[0])
        * (tile.read_y[1] - tile.read_y[0])
        * (tile.read_x[1] - tile.read_x[0])
        for tile in plan.tiles
    )
    return read * len(plan.times or (0,)) * plan.passes * turns_of(plan) / 1e6


class Pace:
    """Remembers seconds for each million voxels, by model and device."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], float] = {}

    def learn(self, plan: "Plan", report: "Report") -> None:
        """Take a finished prediction into account."""
        seconds = report.seconds.total - report.seconds.load
        if seconds > 0:
            self._known[self._key(plan)] = seconds / work_of(plan)

    def expected(self, plan: "Plan") -> float | None:
        """Foretell the seconds of a prediction; None where nothing is known."""
        known = self._known.get(self._key(plan))
        return None if known is None else known * work_of(plan)

    def _key(self, plan: "Plan") -> tuple[str, str]:
        return plan.card.id, plan.request.device
