"""From what the user chose in the Plan dock to a job, or to what is in its way.

Pure: reads layers' metadata, never a pixel, and changes nothing.
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_sparsessp.evaluation.sweep import RATIOS, ratios_for
from napari_sparsessp.prediction.plan import one_channel
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.ui.predict.planning import (
    Choice,
    Outlook,
    PlanningEngine,
    look_ahead,
)
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard

# The engine refuses to thin out a stack whose planes are further apart than this.
_SPARSE = 1.5


@dataclass(frozen=True)
class PlanChoice:
    """Everything that the user has chosen in the dock.

    Attributes
    ----------
    stack : Choice
        As in the Predict dock: stack, structures, truths, model, device.
    against_dense : bool
        Judge by the dense prediction; truths do not count then.
    ratios : tuple of int
    all_phases : bool
        Start at each of the first r planes in turn.
    time : int
        Time point on screen.
    """

    stack: Choice
    against_dense: bool = False
    ratios: tuple[int, ...] = RATIOS
    all_phases: bool = False
    time: int = 0

    @property
    def identity(self) -> tuple[Any, ...]:
        """What another choice must share to be the same, time point aside; hashable."""
        card = self.stack.card
        counted = replace(self.stack, card=None)
        return (
            repr(counted),
            None if card is None else (card.id, card.version),
            self.against_dense,
            self.ratios,
            self.all_phases,
        )


@dataclass(frozen=True, eq=False)
class PlanJob:
    """All that a thread may know, frozen in the interface's thread.

    Attributes
    ----------
    card : ModelCard
    volume : Volume
        ZYX; lazy.
    truth : dict
        Structure id to `Volume`, ZYX; empty against the dense prediction.
    request : PredictionRequest
    ratios : tuple of int
    all_phases, against_dense : bool
    """

    card: "ModelCard"
    volume: Volume
    truth: dict[str, Volume]
    request: PredictionRequest
    ratios: tuple[int, ...]
    all_phases: bool
    against_dense: bool


@dataclass(frozen=True, eq=False)
class PlanOutlook:
    """What would happen on the button.

    Attributes
    ----------
    seen : Outlook
        Of the prediction from every plane.
    job : PlanJob or None
        None where something is in the way.
    offered : tuple of int
        Ratios that this stack can give.
    sparse : str
        Why this stack cannot be thinned out and what to do; "" where it can.
    waiting : str
        What the user still has to do.
    """

    seen: Outlook = field(default_factory=Outlook)
    job: PlanJob | None = None
    offered: tuple[int, ...] = ()
    sparse: str = ""
    waiting: str = ""


def look_at_plan(
    viewer: Any, engine: PlanningEngine, choice: PlanChoice, wanted: tuple[int, ...]
) -> PlanOutlook:
    """Tell what would be measured.

    Parameters
    ----------
    viewer : napari.Viewer
    engine : PlanningEngine
    choice : PlanChoice
    wanted : tuple of int
        Ratios that the dock knows.

    Returns
    -------
    PlanOutlook
    """
    stack = replace(choice.stack, ratio=1.0, simulate=True)
    untruthful = not choice.against_dense and not stack.truths
    if choice.against_dense:
        stack = replace(stack, truths={}, insisted=frozenset())
    elif not untruthful:
        kept = tuple(id_ for id_ in stack.structures if id_ in stack.truths)
        stack = replace(stack, structures=kept)
    seen = look_ahead(viewer, engine, stack)
    if seen.reading is None:
        return PlanOutlook(seen, waiting=seen.waiting)
    depth = seen.reading.volume.sizes["Z"]
    offered = ratios_for(depth, wanted)
    if sparse := _why_sparse(stack.card, seen, depth):
        return PlanOutlook(seen, sparse=sparse, offered=offered)
    if seen.plan is None or seen.request is None or stack.card is None:
        return PlanOutlook(seen, offered=offered, waiting=seen.waiting)
    if not choice.against_dense and not seen.truth:
        return PlanOutlook(
            seen,
            offered=offered,
            waiting="Choose a truth layer for a structure, or judge by the dense "
            "prediction.",
        )
    ratios = tuple(sorted({1, *choice.ratios} & {1, *offered}))
    if len(ratios) < 2:
        return PlanOutlook(
            seen, offered=offered, waiting="Choose at least one ratio above 1."
        )
    volume = one_channel(seen.reading.volume, choice.stack.channel)
    structures = tuple(seen.truth) if seen.truth else stack.structures
    job = PlanJob(
        card=stack.card,
        volume=volume.time(_time(volume, choice.time)),
        truth={
            id_: one.time(_time(one, choice.time)) for id_, one in seen.truth.items()
        },
        request=seen.request.model_copy(update={"structures": structures}),
        ratios=ratios,
        all_phases=choice.all_phases,
        against_dense=choice.against_dense,
    )
    return PlanOutlook(seen, job=job, offered=offered)


def _time(volume: Volume, wanted: int) -> int:
    """A truth without a time axis stands for every time point."""
    return min(wanted, volume.sizes.get("T", 1) - 1)


def _why_sparse(card: "ModelCard | None", seen: Outlook, depth: int) -> str:
    """Say why there is nothing to leave out, and what to do."""
    assert seen.reading is not None
    size = seen.reading.volume.voxel_size
    if depth < 3:
        count = "one plane" if depth == 1 else f"{depth} planes"
        return (
            f"This image has {count}: none can be left out. Open a dense z-stack of "
            "typical cells."
        )
    if card is None or size is None or size[0] <= _SPARSE * card.voxel_size[0]:
        return ""
    dense = card.voxel_size[0]
    planes = round(depth * size[0] / dense)
    return (
        f"This stack is sparse already: its planes are {size[0]:.3g} µm apart, the "
        f"network's {dense:.3g} µm. It cannot tell what leaving out planes would cost, "
        "for the planes between were never imaged.\n"
        f"Record one dense stack of typical cells, a plane every {dense:.3g} µm (some "
        f"{planes} planes here), and open it. Once is enough; all others may then be "
        "as sparse as it tells. This one can be predicted as it is, in Predict."
    )
