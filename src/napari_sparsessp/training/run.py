"""A whole training: from a config and the data's stacks to a model file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from napari_sparsessp.errors import InputError
from napari_sparsessp.models.library import Model
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.prediction.device import choose_device, choose_precision
from napari_sparsessp.training.calibration import STACKS as CALIBRATION_STACKS
from napari_sparsessp.training.calibration import calibrations
from napari_sparsessp.training.familiarity import learned_ranges
from napari_sparsessp.training.finishing import write_model
from napari_sparsessp.training.group import Group
from napari_sparsessp.training.loop import Status, TrainingPlan, train
from napari_sparsessp.training.patches import Pair, PatchRecipe
from napari_sparsessp.training.preview import Preview, preview_patch
from napari_sparsessp.training.renewal import RenewedPairs
from napari_sparsessp.training.setup import Setup, claim_folder
from napari_sparsessp.training.starting import starting_network
from napari_sparsessp.training.state import RunFolder
from napari_sparsessp.training.validation import Validator

FEW_STACKS = 3
"""So few, and the card says what that means."""


@dataclass(frozen=True, eq=False)
class Stacks:
    """The data of a training.

    Attributes
    ----------
    structures : tuple of str
        Of the network's outputs, which the pairs' labels count.
    training : sequence of Pair
        May change with the step; see `RenewedPairs`.
    validation : sequence of Pair
    words : list of str
        Sentences for the card.
    """

    structures: tuple[str, ...]
    training: Sequence[Pair]
    validation: Sequence[Pair]
    words: list[str]


def run_training(
    setup: Setup,
    stacks: Stacks,
    listen: Callable[[Status], None] | None = None,
    stop: Callable[[], bool] | None = None,
    group: Group | None = None,
    show: Callable[[Preview], None] | None = None,
) -> Path | None:
    """Train, or go on with it, and write the model.

    Parameters
    ----------
    setup : Setup
    stacks : Stacks
    listen : callable, optional
        Called after each step.
    stop : callable, optional
        Asked after each step; true saves and ends.
    group : Group, optional
        Other processes that train with this one; the main one writes the model.
    show : callable, optional
        Called at each validation with what the network says of one patch.

    Returns
    -------
    Path or None
        The model; None where training was stopped.

    Raises
    ------
    SparseSSPError
        Anything that the user can mend.
    """
    config, group = setup.config, group or Group()
    network = setup.network(stacks.structures)
    recipe = patch_recipe(setup, network, stacks.training)
    plan = training_plan(setup, network)
    if group.device is not None:
        plan = replace(plan, device=group.device)
    with group.main_first():
        claim_folder(config, stacks.structures, group.main)
    fresh = starting_network(setup, network, stacks.structures).to(plan.device)
    validator = Validator(
        _some(stacks.validation, config.validation.stacks),
        stacks.structures,
        recipe.ratios,
        recipe.interpolation,
        plan.device,
        plan.precision,
        plan.projection,
        stop,
    )
    patch = None
    if show is not None:
        patch = preview_patch(
            validator.pairs, recipe, stacks.structures, plan.device, network.stride
        )

    def validate(judged: nn.Module) -> dict[str, Any]:
        if show is not None and patch is not None:
            show(patch(judged))
        return validator(judged)

    done = train(
        fresh, stacks.training, recipe, plan, config.out,
        validate if validator.pairs else None, listen, stop, group,
    )  # fmt: skip
    if not done:
        return None
    with group.main_first():
        if not group.main:
            return config.out / f"{config.model.id}.safetensors"
        return _written(setup, network, stacks, recipe, plan, len(validator.pairs))


def write_best(setup: Setup, stacks: Stacks) -> Path:
    """Write the model of a training that was stopped: its best state so far.

    Parameters
    ----------
    setup : Setup
    stacks : Stacks
        Those that it was trained with.

    Raises
    ------
    SparseSSPError
        There is no state yet, or the model cannot be written.
    """
    if not RunFolder(setup.config.out).has_state():
        raise InputError(
            f"{setup.config.out} holds no state of a training yet; let it go on"
        )
    network = setup.network(stacks.structures)
    recipe = patch_recipe(setup, network, stacks.training)
    count = len(_some(stacks.validation, setup.config.validation.stacks))
    plan = training_plan(setup, network)
    return _written(setup, network, stacks, recipe, plan, count)


def _written(
    setup: Setup,
    network: NetworkConfig,
    stacks: Stacks,
    recipe: PatchRecipe,
    plan: TrainingPlan,
    count: int,
) -> Path:
    """Write the model; `count` stacks chose its state."""
    validation = setup.config.validation
    judged = f"{count} stack{'s' * (count != 1)}"
    if validation.by != "stack":
        judged = f"the far end in {validation.by} of {judged}"
        if validation.gap:
            judged += f" beyond a gap of {validation.gap} pixels"
    return write_model(
        setup,
        network,
        stacks.structures,
        (recipe.depth, recipe.height, recipe.width),
        stacks.words,
        {label for pair in stacks.training for label in pair.labels},
        f"{judged}, kept back where the data do not say another split; the state was "
        "chosen by this score",
        z_projection(setup, stacks.training),
        few_words(stacks.training),
        lambda model: _trust(model, setup, stacks, recipe, plan),
    )


def _trust(
    model: Model, setup: Setup, stacks: Stacks, recipe: PatchRecipe, plan: TrainingPlan
) -> dict[str, Any]:
    """What the card says of when to trust the model: what it saw, how far it is off."""
    kept_back = _some(stacks.validation, CALIBRATION_STACKS)
    return {
        "familiarity": learned_ranges(
            stacks.training, recipe, setup.voxel_size, setup.source
        ),
        "uncertainty": calibrations(model, kept_back, plan.device, plan.precision),
    }


def few_words(pairs: Sequence[Pair]) -> str:
    """Warn of a model that has seen next to nothing; "" where it has seen enough."""
    if len(pairs) > FEW_STACKS or isinstance(pairs, RenewedPairs):
        return ""
    shapes = ["×".join(map(str, pair.looks.shape[1:])) for pair in pairs]
    stacks = "one stack" if len(pairs) == 1 else f"{len(pairs)} stacks"
    return (
        f"Has learned from {stacks} ({', '.join(shapes)} voxels): other cells, "
        "contrasts, microscopes and magnifications are outside of what it knows."
    )


def z_projection(setup: Setup, pairs: Sequence[Pair]) -> str:
    """Say whether all labels are projections: then so is what the model predicts."""
    source = setup.config.data.pairs
    flat = all(len(target) == 1 for pair in pairs for target in pair.targets)
    return source.projection if source is not None and flat else "none"


def _some(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """At most so many, from all over the list."""
    share = min(1.0, count / max(len(pairs), 1))
    return [
        pair for index, pair in enumerate(pairs)
        if int((index + 1) * share + 1e-9) > int(index * share + 1e-9)
    ]  # fmt: skip


def bf16_is_safe(network: NetworkConfig, device: str) -> bool:
    """Tell whether gradients in bfloat16 can be trusted.

    On the CPU torch 2.13 gives weight gradients of 3D convolutions in bfloat16 that are
    off by up to 10³⁶ where the feature has two planes; one, three, four and eight are
    right. Predictions are not affected.
    """
    if device != "cpu":
        return True
    depths: tuple[int, ...] = ()
    if network.backbone == "slim":
        levels = range(1, len(network.encoder_widths) + 1)
        depths = tuple(network.depth // 2**level for level in levels)
    else:
        if network.encoder_3d:
            depths += network.level_depths(network.planes)
        if network.decoder_3d:
            depths += network.level_depths(network.decoded_planes)
    return 2 not in depths


def training_plan(setup: Setup, network: NetworkConfig) -> TrainingPlan:
    """Put together what the loop needs.

    Raises
    ------
    InputError
        The device does not exist here.
    """
    config, recipe = setup.config, setup.config.recipe
    device = choose_device(config.device)
    precision = choose_precision(recipe.precision, device)
    if recipe.precision == "auto" and not bf16_is_safe(network, device.type):
        precision = "fp32"
    budget, pairs = config.budget, config.data.pairs
    minutes = budget.minutes or 0.0
    save_steps = budget.save_steps
    if budget.steps and not budget.save_minutes:
        save_steps = save_steps or max(1, budget.steps // 10)
    return TrainingPlan(
        minutes=minutes,
        steps=budget.steps,
        batch=recipe.batch,
        learning_rate=setup.learning_rate,
        weight_decay=recipe.weight_decay,
        warm_up=recipe.warm_up,
        average=recipe.average,
        save_every=budget.save_minutes or min(4.0, minutes / 10),
        save_steps=save_steps,
        # float16 would need its gradients scaled; bfloat16 does not.
        precision="bf16" if precision == "bf16" else "fp32",
        seed=config.seed,
        device=str(device),
        optimiser=recipe.optimiser,
        schedule=recipe.schedule,
        clip=recipe.clip,
        loss=config.loss,
        projection="mean" if pairs is None else pairs.projection,
        judge_first=setup.source is not None,
    )


def patch_recipe(
    setup: Setup, network: NetworkConfig, pairs: Sequence[Pair]
) -> PatchRecipe:
    """Say how patches are cut from these stacks for this network.

    Raises
    ------
    InputError
        A stack is smaller than the network's stride, or deeper than its window where
        the target is a projection.
    """
    recipe, stride = setup.config.recipe, network.stride
    if not pairs:
        raise InputError(
            "nothing is left to train on; lower validation.share or add stacks"
        )
    size = []
    for axis, wanted in zip((-2, -1), recipe.patch, strict=True):
        smallest = min(pairs, key=lambda pair: pair.looks.shape[axis])
        extent = min(wanted, smallest.looks.shape[axis]) // stride * stride
        if not extent:
            raise InputError(
                f"{smallest.name or 'a stack'} has {smallest.looks.shape[axis]} pixels "
                f"in {'zyx'[axis]} on the model's grid and recipe.patch {wanted}; the "
                f"network needs {stride}: leave that stack out or choose fewer levels"
            )
        size.append(extent)
    for pair in pairs:
        depth = pair.looks.shape[1]
        flat = any(len(target) == 1 for target in pair.targets)
        if flat and 1 < network.depth < depth:
            raise InputError(
                f"the target of {pair.name or 'a stack'} is the projection of {depth} "
                f"planes and the network sees {network.depth} at once; set "
                f"network.depth to at least {depth}"
            )
    height, width = size
    return PatchRecipe(
        network.depth,
        height,
        width,
        ratios=setup.ratios(network),
        noise=recipe.noise,
        gain=recipe.gain,
        tilt=recipe.tilt,
        clutter=recipe.clutter,
        thin=recipe.thin,
        turns=recipe.turns,
        random_phase=setup.random_phase(network),
        interpolation=network.interpolation,
        inputs=network.inputs,
        every=network.ratio,
    )
