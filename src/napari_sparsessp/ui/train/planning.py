"""What would come of the Train dock's choices: stacks, split, problems, a config.

No pixel is read here; everything is known from sizes and names.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_sparsessp.errors import InputError
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.training.config import Pairs, TrainConfig, Validation
from napari_sparsessp.training.data import grid_shape
from napari_sparsessp.training.resolve import (
    PAIRS_FILE,
    QuickOptions,
    quick_config,
    run_folder,
)
from napari_sparsessp.training.split import (
    StackParts,
    StackShape,
    choose_validation,
    cut_validation,
    stack_parts,
)
from napari_sparsessp.training.stacks import TrainingStack, check_stack
from napari_sparsessp.ui.train.choice import (
    AUTO,
    FilesFound,
    StackPick,
    TrainChoice,
    fits,
    layer_parts,
    part_volume,
)
from napari_sparsessp.ui.train.session import TrainJob
from napari_sparsessp.ui.widgets.structure_fields import structure_id
from napari_sparsessp.ui.widgets.style import duration_text
from napari_sparsessp.volume import channel_key

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.training.loop import Status
    from napari_sparsessp.training.pairs import Label
    from napari_sparsessp.ui.train.session import TrainResult

_STEP_TOLERANCE = 0.1
_LEAST_TO_LEARN = 4
"""Strides of the network: a shorter part to learn from is a doubtful one."""


@dataclass
class TrainOutlook:
    """What is known before a training starts.

    Attributes
    ----------
    stacks : list of TrainingStack
        Of layers, frozen as they are now.
    shapes : list of StackShape
    parts : list of StackParts
        What of each is learnt from, and what judges.
    validation : Validation or None
    split_note : str
        What should be known of the split.
    structures : tuple of str
    problems : dict of str to str
        By step (``pairs``, ``part``, ``model``, ``name``): what keeps it from
        starting.
    waiting : str
        What is still to be chosen, where nothing is wrong.
    notes : list of str
        What works, but should be known.
    job : TrainJob or None
        Ready to start.
    """

    stacks: list[TrainingStack] = field(default_factory=list)
    shapes: list[StackShape] = field(default_factory=list)
    parts: list[StackParts] = field(default_factory=list)
    validation: Validation | None = None
    split_note: str = ""
    structures: tuple[str, ...] = ()
    problems: dict[str, str] = field(default_factory=dict)
    waiting: str = ""
    notes: list[str] = field(default_factory=list)
    job: TrainJob | None = None


def look_ahead(
    viewer: Any,
    choice: TrainChoice,
    card: "ModelCard | None",
    found: FilesFound | None,
    name_problem: str = "",
) -> TrainOutlook:
    """Say what would come of a choice.

    Parameters
    ----------
    viewer : napari.Viewer
    choice : TrainChoice
    card : ModelCard or None
        Of the model to begin with.
    found : FilesFound or None
        What lies in the chosen files, once that is known.
    name_problem : str
        What is wrong with the new model's name or id.
    """
    seen = TrainOutlook()
    if card is None:
        seen.problems["model"] = "the model to begin with is gone; choose another one"
        return seen
    network = NetworkConfig.model_validate(card.network)
    if choice.from_files:
        _of_files(seen, choice, found)
    else:
        _of_layers(seen, viewer, choice, card)
    if seen.shapes and "pairs" not in seen.problems:
        _divide(seen, choice, network)
        _notes(seen, card, network)
    if name_problem:
        seen.problems["name"] = name_problem
    if not seen.problems and not seen.waiting:
        _make_job(seen, choice, card, found)
    return seen


def _of_layers(
    seen: TrainOutlook, viewer: Any, choice: TrainChoice, card: "ModelCard"
) -> None:
    picked = [one for one in choice.stacks if one.light is not None]
    if not picked:
        seen.waiting = "Open a stack of transmitted light with its fluorescence."
        return
    try:
        for number, pick in enumerate(picked, 1):
            stack = _stack(viewer, pick, number)
            if not stack.truths:
                seen.waiting = "Tick what shows the fluorescence, and say what it is."
                _say_why_none(seen, viewer, stack)
                return
            check_stack(stack)
            seen.stacks.append(stack)
    except InputError as error:
        seen.problems["pairs"] = str(error)
        return
    seen.shapes = [
        StackShape(
            one.name,
            tuple(one.truths),
            grid_shape(one.light, card.voxel_size),
            one.split,
        )
        for one in seen.stacks
    ]
    seen.structures = _structures(seen.shapes)


def _say_why_none(seen: TrainOutlook, viewer: Any, stack: TrainingStack) -> None:
    """Tell where nothing that is open can be the truth of a sparse light."""
    others = [one.volume for one in layer_parts(viewer)]
    depth, *area = stack.light.shape
    deeper = [one.shape[0] for one in others if list(one.shape[1:]) == area]
    alike = [one for one in others if not fits(stack.light, one)]
    if len(alike) < 2 and any(planes > depth for planes in deeper):
        seen.waiting = "Open a dense stack of transmitted light."
        seen.notes.append(
            f"{stack.name} has {depth} planes and its fluorescence {max(deeper)}: "
            "teaching needs light at every plane that has a truth. Sparse stacks are "
            "made from it while it learns, so the new model will predict from few "
            "planes."
        )


def _stack(viewer: Any, pick: StackPick, number: int) -> TrainingStack:
    assert pick.light is not None
    light = part_volume(viewer, pick.light)
    truths = {}
    for key, typed in pick.truths:
        id_ = structure_id(typed)
        if not id_:
            raise InputError(
                f"a ticked layer of stack {number} has no structure yet; say what it "
                "shows"
            )
        if id_ in truths:
            label = structure_or_custom(id_).label
            raise InputError(
                f"{label} is ticked twice in stack {number}; untick one, or name it "
                "differently"
            )
        if key == pick.light:
            raise InputError(
                f"stack {number} has the same layer as light and as truth; choose "
                "another one"
            )
        truths[id_] = part_volume(viewer, key)
    mask = None if pick.mask is None else part_volume(viewer, pick.mask)
    return TrainingStack(light.name or f"stack {number}", light, truths, mask)


def _of_files(
    seen: TrainOutlook, choice: TrainChoice, found: FilesFound | None
) -> None:
    files = choice.files
    if files.empty:
        seen.waiting = "Choose a list of pairs, a folder or images."
    elif found is None or found.pick != files:
        seen.waiting = "Looking into the files…"
    elif not found.labels:
        seen.waiting = "Say which channel is the light, and what the other one shows."
    elif files.signal and files.signal == files.target and not files.is_list:
        seen.problems["pairs"] = (
            "light and fluorescence are the same channel; choose another one"
        )
    else:
        seen.shapes = found.shapes
        seen.structures = _structures(found.shapes)


def _structures(shapes: Sequence[StackShape]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for one in shapes for name in one.structures))


def _divide(seen: TrainOutlook, choice: TrainChoice, network: NetworkConfig) -> None:
    """Find what is kept back, as the training will."""
    margin, stride = network.reach, network.stride
    if choice.part == AUTO:
        validation = choose_validation(seen.shapes, margin, stride)
    elif choice.part == "stack":
        validation = Validation(share=choice.share, by="stack")
    else:
        validation = cut_validation(
            seen.shapes, choice.part, margin, stride, choice.share
        )
    try:
        seen.parts = stack_parts(seen.shapes, validation)
        _check_sizes(seen, network)
    except InputError as error:
        seen.problems["part"] = str(error)
        return
    if not any(one.learn for one in seen.parts):
        seen.problems["part"] = (
            "every stack is kept back and none is left to learn from; add one"
        )
    seen.validation = validation


def _check_sizes(seen: TrainOutlook, network: NetworkConfig) -> None:
    stride = network.stride
    for one in seen.parts:
        _, height, width = one.stack.shape
        along = {"y": height, "x": width}
        if min(height, width) < stride:
            raise InputError(
                f"{one.stack.name} has {height}×{width} pixels on the model's grid and "
                f"the network needs {stride} on each side; crop less, or check the "
                "voxel size"
            )
        for part in (one.learn, one.judge):
            if one.axis and part is not None and part[1] - part[0] < stride:
                raise InputError(
                    f"{one.stack.name} has {along[one.axis]} pixels in {one.axis} on "
                    "the model's grid, too few to learn from one part and judge by "
                    "another; choose the other axis or a larger stack"
                )


def _notes(seen: TrainOutlook, card: "ModelCard", network: NetworkConfig) -> None:
    gap = 0 if seen.validation is None else seen.validation.gap
    for one in seen.parts:
        left = one.learn[1] if one.axis and one.learn else math.inf
        if left < _LEAST_TO_LEARN * network.stride:
            seen.notes.append(
                f"Only {left} pixels of {one.stack.name} are left to learn from: "
                "expect little, a larger stack teaches more."
            )
            break
    if any(one.axis for one in seen.parts) and gap < network.reach:
        seen.split_note = (
            f"The network looks up to {network.reach} pixels around, so with this gap "
            "the score may be a little too good."
        )
    for stack in seen.stacks:
        light = stack.light
        if light.pixel_size is None:
            seen.notes.append(
                f"The pixel size of {stack.name} is unknown; the model's own "
                f"({card.voxel_size[2]:g} µm) is assumed."
            )
        elif light.voxel_size is not None:
            step = light.voxel_size[0] / card.voxel_size[0]
            if abs(step - 1) > _STEP_TOLERANCE:
                seen.notes.append(
                    f"The planes of {stack.name} are {light.voxel_size[0]:g} µm apart, "
                    f"those of the model {card.voxel_size[0]:g} µm: they are taken as "
                    "they are, so use the new model on stacks like this one."
                )
    new = [one for one in seen.structures if one not in card.structures]
    if new:
        names = ", ".join(structure_or_custom(one).label for one in new)
        seen.notes.append(
            f"{names}: new to {card.name}, its last layer starts from nothing."
        )


def _make_job(
    seen: TrainOutlook,
    choice: TrainChoice,
    card: "ModelCard",
    found: FilesFound | None,
) -> None:
    out = run_folder(choice.id)
    pairs = Pairs(path=out / PAIRS_FILE)
    labels: tuple[Label, ...] = ()
    if choice.from_files:
        files = choice.files
        assert found is not None
        if files.images:
            labels = tuple(found.labels)
        elif files.path is not None:
            own = not files.is_list
            pairs = Pairs(
                path=files.path.absolute(),
                structure=structure_id(files.structure) if own else None,
                signal=channel_key(files.signal) if own else None,
                target=channel_key(files.target) if own else None,
            )
    assert seen.validation is not None
    wish = QuickOptions(
        id=choice.id,
        pairs=pairs,
        validation=seen.validation,
        name=choice.name,
        licence=choice.licence,
        source=choice.model,
        freeze_encoder=choice.freeze,
        minutes=choice.minutes,
        device=choice.device,
        ratios=choice.ratios,
        patch=choice.patch,
        learning_rate=choice.learning_rate,
        loss=choice.loss,
    )
    try:
        config: TrainConfig = quick_config(wish, out)
    except InputError as error:
        seen.problems["name"] = str(error)
        return
    stacks = () if choice.from_files else tuple(seen.stacks)
    seen.job = TrainJob(config, stacks, labels, card.voxel_size[0])


BY_HEART = (
    "The score has not risen for a while though the loss falls: the network now learns "
    "your stack by heart. You can stop; the best state so far is kept."
)
# Fields of a config, as errors of the training name them, and where they are here.
_FIELDS = {
    "recipe.learning_rate": "the learning rate under More",
    "recipe.patch": "the patch under More",
    "set recipe.precision to fp32": "choose the CPU",
    "recipe.batch": "the patch under More",
    "validation.share": "the share that is kept back",
    "choose another out": "choose another id",
}


def dock_words(text: str) -> str:
    """Say of an error what to change in this dock, not in a file."""
    for name, here in _FIELDS.items():
        text = text.replace(name, here)
    return text


def plan_words(seen: "TrainOutlook") -> str:
    """Say what Train would do."""
    labels = [structure_or_custom(one).label for one in seen.structures]
    what = ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" * (len(labels) > 3))
    stacks = sum(one.learn is not None for one in seen.parts)
    return f"Ready: {what} from {stacks} stack{'s' * (stacks != 1)}."


def step_words(status: "Status", minutes: float, best: float | None) -> str:
    """Say how far a training is."""
    done = status.share * minutes
    score = "" if best is None else f" · best R² {number(best)}"
    left = ""
    if math.isfinite(status.seconds_left):  # nobody knows before the first step
        left = f" · {duration_text(status.seconds_left)} left"
    return f"{done:.1f} of {minutes:g} min · step {status.step}{score}{left}"


def end_words(result: "TrainResult") -> str:
    """Say in one line what came out."""
    if result.best is None:
        return "Done. Nothing was kept back, so nobody knows how good it is."
    if result.before is None:
        return f"Done: R² {number(result.best)} on the part kept back."
    gain = f"{number(result.before)} → {number(result.best)}"
    return f"Done: R² {gain} on the part kept back."


def headline_words(name: str, before: float | None, best: float | None) -> str:
    """Name the model, and what it has come to."""
    if before is None or best is None:
        return name
    if best <= before:
        return f"{name}: R² {number(before)} before it learns"
    return f"{name}: R² {number(before)} → {number(best)}"


def number(value: float) -> str:
    """Write a score as one prints it, with a real minus."""
    return f"{value:.2f}".replace("-", "−")


def end_notices(result: "TrainResult") -> list[str]:
    """Warn of what is no success."""
    if result.best is None:
        return []
    if result.step == 0:
        return [
            "Nothing was better than the model to begin with, so the new one is the "
            "same: learn for longer, from more cells, or check that light and truth "
            "show the same field."
        ]
    if result.best < 0.05:
        return [
            "Hardly better than guessing the mean brightness: do not trust it yet. "
            "More stacks help most; check that light and truth show the same field."
        ]
    return []
