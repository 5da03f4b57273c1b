"""How fast this machine is: learnt from each prediction, used to foretell the next."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from napari_sparsessp.prediction.inference import TRANSFORMS
from napari_sparsessp.ui.engine.model_words import is_pass_each

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.prediction.report import Report


def turns_of(plan: "Plan") -> int:
    """How often the network sees each tile, because of what was asked for."""
    request = plan.request
    return len(TRANSFORMS) if request.tta or request.uncertainty else 1


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
    """Remembers seconds for each million voxels, by model and device.

    Of a model that has not run yet the multiply-adds tell, held against those of one
    that has.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], float] = {}
        self._costs: dict[str, float] = {}

    def learn(self, plan: "Plan", report: "Report") -> None:
        """Take a finished prediction into account."""
        seconds = report.seconds.total - report.seconds.load
        if seconds > 0:
            self.learn_rate(plan, seconds / work_of(plan))

    def learn_rate(self, plan: "Plan", rate: float) -> None:
        """Take seconds for each million voxels of one pass into account."""
        self._known[plan.card.id, plan.request.device] = rate

    def guess_rate(self, plan: "Plan", rate: float) -> None:
        """Take a rate that is only about right, where none is known yet."""
        if (plan.card.id, plan.request.device) not in self._known:
            self.learn_rate(plan, rate)

    def learn_costs(self, costs: Mapping[str, float]) -> None:
        """Take multiply-adds for each voxel of one pass into account, by model's id."""
        self._costs.update(costs)

    def expected(self, plan: "Plan", card: "ModelCard | None" = None) -> float | None:
        """Foretell the seconds of a prediction; None where nothing is known.

        Parameters
        ----------
        plan : Plan
        card : ModelCard, optional
            Another model that were to do this work; then only about.
        """
        if card is None or card.id == plan.card.id:
            rate, work = self._rate(plan.card, plan.request.device), work_of(plan)
        else:
            rate = self._rate(card, plan.request.device)
            passes = len(plan.structures) if is_pass_each(card) else 1
            work = work_of(plan) / plan.passes * passes
        return None if rate is None else rate * work

    def _rate(self, card: "ModelCard", device: str) -> float | None:
        known = self._known.get((card.id, device))
        own = self._costs.get(card.id)
        if known is not None or own is None:
            return known
        rates = [
            rate * own / self._costs[id_]
            for (id_, where), rate in self._known.items()
            if where == device and self._costs.get(id_)
        ]
        return sum(rates) / len(rates) if rates else None
