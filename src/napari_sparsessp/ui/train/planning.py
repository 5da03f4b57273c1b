"""From the Train dock's choices to a job, and what speaks against it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparsessp.errors import InputError
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.prediction.ground_truth import survey_note, survey_truth
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.tasks import Progress
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
    FilesScan,
    PairChoice,
    StackKey,
    TrainChoice,
    left_out,
    masks_in,
    misfit,
    named_structures,
    stacks_in,
)
from napari_sparsessp.ui.widgets.structure_fields import structure_id
from napari_sparsessp.volume import Volume, content_hash

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.training.pairs import Label

_STEP_TOLERANCE = 0.1
_LEAST_TO_LEARN = 4
"""Strides of the network: a shorter part to learn from is a doubtful one."""
_LEAST_PATCH = 8


@dataclass(frozen=True, eq=False)
class TrainJob:
    """A training that can start; all that its thread may know."""

    config: TrainConfig
    # of layers, to be written into the run's folder; empty where files are read
    stacks: "Sequence[TrainingStack]" = ()
    labels: "Sequence[Label]" = ()  # of images that were picked, to be listed there
    step: float = 0.29  # µm between planes of the model's grid
    resumes: bool = False  # the folder holds all this already, and a state

    def beside(self, file: Path) -> "TrainJob":
        """Return the same job with its run folder beside a YAML file."""
        config = self.config
        out = file.absolute().parent / config.model.id
        pairs = config.data.pairs
        assert pairs is not None
        if self.stacks or self.labels:
            pairs = pairs.model_copy(update={"path": out / PAIRS_FILE})
        data = config.data.model_copy(update={"pairs": pairs})
        return replace(
            self, config=config.model_copy(update={"out": out, "data": data})
        )


@dataclass
class TrainPreview:
    """Preview of a training."""

    stacks: list[TrainingStack] = field(default_factory=list)  # as they are now
    shapes: list[StackShape] = field(default_factory=list)
    parts: list[StackParts] = field(default_factory=list)
    validation: Validation | None = None
    split_note: str = ""  # a warning about the split
    problems: dict[str, str] = field(default_factory=dict)  # by step of the form
    waiting: str = ""  # what is still to be chosen, where nothing is wrong
    notes: list[str] = field(default_factory=list)
    job: TrainJob | None = None

    @property
    def structures(self) -> tuple[str, ...]:
        """Structures of all stacks."""
        names = (name for shape in self.shapes for name in shape.structures)
        return tuple(dict.fromkeys(names))

    @property
    def summary(self) -> str:
        """Summary of the training, in one line."""
        stacks = sum(one.learn is not None for one in self.parts)
        what = named_structures(self.structures)
        return f"Ready: {what} from {stacks} stack{'s' * (stacks != 1)}."


def preview_training(
    viewer: Any, choice: TrainChoice, card: "ModelCard | None", scan: FilesScan | None
) -> TrainPreview:
    """Return what would come of a choice; `add_job` makes a job of it."""
    preview = TrainPreview()
    if card is None:
        text = "the starting model is gone; choose another one"
        preview.problems["model"] = text
        return preview
    if choice.from_files:
        _preview_files(preview, choice, scan)
    else:
        _preview_layers(preview, viewer, choice, card)
    if preview.shapes and "pairs" not in preview.problems:
        network = NetworkConfig.model_validate(card.network)
        _split(preview, choice, network)
        _add_notes(preview, card, network)
    return preview


def _preview_layers(
    preview: TrainPreview, viewer: Any, choice: TrainChoice, card: "ModelCard"
) -> None:
    pairs = [pair for pair in choice.pairs if pair.light is not None]
    if not pairs:
        preview.waiting = "Open a stack of transmitted light with its fluorescence."
        preview.notes += left_out(viewer)
        return
    listed = [*stacks_in(viewer), *masks_in(viewer)]
    volumes = {stack.key: stack.volume for stack in listed}
    try:
        for number, pair in enumerate(pairs, 1):
            stack = _stack_of(volumes, pair, number)
            if not stack.truths:
                preview.waiting = "Tick the fluorescence, and choose its structure."
                _explain_no_truth(preview, list(volumes.values()), stack)
                preview.notes += left_out(viewer)
                return
            check_stack(stack)
            preview.stacks.append(stack)
    except InputError as error:
        preview.problems["pairs"] = str(error)
        return
    for stack in preview.stacks:
        shape = grid_shape(stack.light, card.voxel_size)
        names = tuple(stack.truths)
        preview.shapes.append(StackShape(stack.name, names, shape, stack.split))


def survey_stacks(
    stacks: Sequence[TrainingStack], card: "ModelCard", progress: Progress
) -> tuple[list[str], str]:
    """Look at voxels, for a background task; return notes, and what forbids it."""
    notes: list[str] = []
    for stack in stacks:
        if card.training_images and content_hash(stack.light) in card.training_images:
            notes.append(
                f"{stack.name} was used to train {card.name}: its scores say nothing "
                "about new cells, nor will those of the new model"
            )
        for id_, truth in stack.truths.items():
            progress(0.0, what=f"looking at the fluorescence of {stack.name}")
            label = truth.name or structure_or_custom(id_).label
            try:
                survey = survey_truth(truth)
            except InputError as error:
                return notes, f"{label}: {error}"
            if note := survey_note(label, {None: survey}):
                notes.append(f"{note}; repair the file if that is not right")
    return notes, ""


def _stack_of(
    volumes: Mapping[StackKey, Volume], pair: PairChoice, number: int
) -> TrainingStack:
    keys = [pair.light, pair.mask, *(key for key, _ in pair.truths)]
    if any(key is not None and key not in volumes for key in keys):
        raise InputError(
            f"a chosen layer of stack {number} is gone, or is no z-stack any more; "
            "choose another one"
        )
    assert pair.light is not None
    light = volumes[pair.light]
    truths = {}
    for key, typed in pair.truths:
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
        if key == pair.light:
            raise InputError(
                f"stack {number} has the same layer as light and as truth; choose "
                "another one"
            )
        truths[id_] = volumes[key]
    mask = None if pair.mask is None else volumes[pair.mask]
    return TrainingStack(light.name or f"stack {number}", light, truths, mask)


def _explain_no_truth(
    preview: TrainPreview, volumes: Sequence[Volume], stack: TrainingStack
) -> None:
    """Explain where nothing that is open can be the truth of a sparse light."""
    depth, *area = stack.light.shape
    planes = [volume.shape[0] for volume in volumes if [*volume.shape[1:]] == area]
    alike = [volume for volume in volumes if not misfit(stack.light, volume)]
    if len(alike) < 2 and any(count > depth for count in planes):
        preview.waiting = "Open a dense stack of transmitted light."
        preview.notes.append(
            f"{stack.name} has {depth} planes and its fluorescence {max(planes)}: "
            "training needs a dense bright-field stack, with a plane for each of the "
            "fluorescence. Planes are left out of it during training, so the new "
            "model predicts from sparse stacks."
        )


def _preview_files(
    preview: TrainPreview, choice: TrainChoice, scan: FilesScan | None
) -> None:
    files = choice.files
    if files.empty:
        preview.waiting = "Choose a list of pairs, a folder or images."
    elif scan is None or scan.files != files:
        preview.waiting = "Looking into the files…"
    elif not scan.labels:
        preview.waiting = (
            "Choose the channel of the transmitted light and the structure."
        )
    elif files.signal and files.signal == files.target and not files.is_list:
        preview.problems["pairs"] = (
            "transmitted light and fluorescence are one channel; choose another"
        )
    else:
        preview.shapes = scan.shapes


def _split(preview: TrainPreview, choice: TrainChoice, network: NetworkConfig) -> None:
    """Divide the stacks as the training will."""
    shapes, margin, stride = preview.shapes, network.reach, network.stride
    if choice.part == AUTO:
        validation = choose_validation(shapes, margin, stride)
    elif choice.part == "stack":
        validation = Validation(share=choice.share, by="stack")
    else:
        validation = cut_validation(shapes, choice.part, margin, stride, choice.share)
    try:
        preview.parts = stack_parts(shapes, validation)
        for parts in preview.parts:
            _check_size(parts, stride)
    except InputError as error:
        preview.problems["part"] = str(error)
        return
    if not any(parts.learn for parts in preview.parts):
        kind = "validation" if preview.parts else "tests"
        preview.problems["part"] = (
            f"all stacks are for {kind} and none is left for training; add one"
        )
    preview.validation = validation


def _check_size(parts: StackParts, stride: int) -> None:
    name, (_, height, width) = parts.stack.name, parts.stack.shape
    if min(height, width) < stride:
        raise InputError(
            f"{name} has {height}×{width} pixels on the model's grid and the network "
            f"needs {stride} on each side; crop less, or check the voxel size"
        )
    for part in (parts.learn, parts.judge):
        if parts.axis and part is not None and part[1] - part[0] < stride:
            size = height if parts.axis == "y" else width
            raise InputError(
                f"{name} has {size} pixels in {parts.axis} on the model's grid, too "
                "few for training and validation; choose the other axis or a "
                "larger stack"
            )


def _add_notes(
    preview: TrainPreview, card: "ModelCard", network: NetworkConfig
) -> None:
    gap = 0 if preview.validation is None else preview.validation.gap
    for parts in preview.parts:
        left = parts.learn[1] if parts.axis and parts.learn else math.inf
        if left < _LEAST_TO_LEARN * network.stride:
            preview.notes.append(
                f"Only {left} pixels of {parts.stack.name} are left for training: "
                "expect little, and more from a larger stack."
            )
            break
    if any(parts.axis for parts in preview.parts) and gap < network.reach:
        preview.split_note = (
            f"The network looks up to {network.reach} pixels around, so with this gap "
            "the score may be a little too good."
        )
    for stack in preview.stacks:
        voxel_size = stack.light.voxel_size
        if stack.light.pixel_size is None:
            preview.notes.append(
                f"The pixel size of {stack.name} is unknown; the model's own "
                f"({card.voxel_size[2]:g} µm) is assumed."
            )
        elif (
            voxel_size is not None
            and abs(voxel_size[0] / card.voxel_size[0] - 1) > _STEP_TOLERANCE
        ):
            preview.notes.append(
                f"The planes of {stack.name} are {voxel_size[0]:g} µm apart, those of "
                f"the model {card.voxel_size[0]:g} µm: they are taken as they are, so "
                "use the new model on stacks like this one."
            )
    new = [
        structure_or_custom(id_).label
        for id_ in preview.structures
        if id_ not in card.structures
    ]
    if new:
        preview.notes.append(
            f"{', '.join(new)}: new to {card.name}; the last layer starts at random."
        )


def add_job(
    preview: TrainPreview,
    choice: TrainChoice,
    options: Mapping[str, Any],
    card: "ModelCard",
    scan: FilesScan | None,
) -> None:
    """Make the job of a preview without problems, or add the problem."""
    if (options["patch"] or _LEAST_PATCH) < _LEAST_PATCH:
        preview.problems["time"] = f"a patch needs at least {_LEAST_PATCH} pixels"
        return
    out = run_folder(options["id"])
    pairs = Pairs(path=out / PAIRS_FILE)
    labels: Sequence[Label] = ()
    files = choice.files
    if choice.from_files and files.path is None:
        assert scan is not None
        labels = scan.labels
    elif choice.from_files and files.path is not None:
        pairs = Pairs(path=files.path.absolute())
        if not files.is_list:
            pairs = pairs.model_copy(update=files.said())
    assert preview.validation is not None
    wanted = QuickOptions(pairs=pairs, validation=preview.validation, **options)
    try:
        config = quick_config(wanted, out)
    except InputError as error:
        preview.problems["name"] = str(error)
        return
    stacks = () if choice.from_files else tuple(preview.stacks)
    preview.job = TrainJob(config, stacks, labels, card.voxel_size[0])
