"""The network at the start of a training: fresh, or an existing model."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from napari_sparsessp.errors import InputError
from napari_sparsessp.models.card import ModelCard, network_fields
from napari_sparsessp.models.origin import of_training
from napari_sparsessp.models.serialisation import digest_of_tensors
from napari_sparsessp.models.store import Model, load_model, save_model
from napari_sparsessp.models.verification import make_check
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.prediction.device import choose_device, choose_precision
from napari_sparsessp.training.calibration import STACKS as CALIBRATION_STACKS
from napari_sparsessp.training.calibration import calibrations, learned_ranges
from napari_sparsessp.training.checkpoints import RunFolder
from napari_sparsessp.training.config import FineTune, TrainConfig
from napari_sparsessp.training.loop import Group, Status, TrainingPlan, train
from napari_sparsessp.training.patches import Pair, PatchRecipe, RenewedPairs
from napari_sparsessp.training.resolve import Setup, claim_folder
from napari_sparsessp.training.validation import Preview, Validator, preview_patch

_ENCODER = ("encoder", "plane_stem", "down")
"""First parts of the names of all that comes before depth is folded."""


def starting_network(
    setup: Setup, config: NetworkConfig, structures: tuple[str, ...]
) -> nn.Module:
    """Build the network, the same for the same seed.

    Parameters
    ----------
    structures
        Of its outputs.

    Raises
    ------
    ModelError
        The model to begin with is damaged.
    """
    torch.manual_seed(setup.config.seed)
    network = build_network(config)
    given = setup.config.network
    if isinstance(given, FineTune):
        model = load_model(given.source)
        transfer(model.network, model.card.structures, network, structures)
        if given.freeze_encoder:
            freeze_encoder(network)
    return network


def freeze_encoder(network: nn.Module) -> None:
    """Let only what comes after the encoder learn, in place."""
    for name, parameter in network.named_parameters():
        own = re.sub(r"^networks\.\d+\.", "", name)  # multinet has one each
        if own.split(".")[0] in _ENCODER:
            parameter.requires_grad_(False)


@torch.no_grad()
def transfer(
    source: nn.Module,
    known: tuple[str, ...],
    network: nn.Module,
    wanted: tuple[str, ...],
) -> None:
    """Take over all weights; outputs go by structure, new ones stay as they are.

    Parameters
    ----------
    source, network
        Of the same description but for their outputs.
    known, wanted
        Structures of both.

    Raises
    ------
    InputError
        The structures differ and cannot be told apart in the weights.
    """
    config = network.config
    assert isinstance(config, NetworkConfig)
    have, own = source.state_dict(), network.state_dict()
    if wanted == known:
        network.load_state_dict(have)
        return
    more = _one_output_more(network)
    shared = [(wanted.index(one), known.index(one)) for one in wanted if one in known]
    for name, tensor in own.items():
        first, number, *rest = [*name.split("."), ""]
        if f"{first}.{len(wanted)}.{'.'.join(rest)}".rstrip(".") in more.keys() - own:
            # A list with an entry for each structure.
            for new, old in shared:
                if int(number) == new:
                    tensor.copy_(have[f"{first}.{old}.{'.'.join(rest)}".rstrip(".")])
            continue
        longer = [
            (axis, more[name][axis] - length) for axis, length in
            enumerate(tensor.shape) if more[name][axis] != length
        ]  # fmt: skip
        if not longer:
            tensor.copy_(have[name])
            continue
        if len(longer) > 1:
            # Layers as wide as there are structures mix them (tsn).
            raise InputError(
                f"a {config.conditioning} network cannot change its "
                f"structures; set model.structures to {', '.join(known)}, or leave "
                "it out"
            )
        ((axis, each),) = longer
        _copy_rows(tensor, have[name], axis, each, len(wanted), shared)


def _one_output_more(network: nn.Module) -> dict[str, torch.Size]:
    """Shapes of the same network with another output: what grows is structures'."""
    config = network.config
    assert isinstance(config, NetworkConfig)
    with torch.device("meta"):
        twin = build_network(config.model_copy(update={"outputs": config.outputs + 1}))
    return {name: tensor.shape for name, tensor in twin.state_dict().items()}


def _copy_rows(
    tensor: torch.Tensor,
    other: torch.Tensor,
    axis: int,
    each: int,
    structures: int,
    shared: list[tuple[int, int]],
) -> None:
    """Copy what belongs to the structures, behind what belongs to none."""
    before = tensor.shape[axis] - each * structures
    tensor.narrow(axis, 0, before).copy_(other.narrow(axis, 0, before))
    for new, old in shared:
        rows = other.narrow(axis, before + old * each, each)
        tensor.narrow(axis, before + new * each, each).copy_(rows)


_SCALING_WORDS = {
    "robust": "z-score of the measured planes, extremes left out",
    "zscore": "z-score of the measured planes",
    "none": "none",
}


def write_model(
    setup: Setup,
    network: NetworkConfig,
    structures: tuple[str, ...],
    patch: tuple[int, int, int],
    trained_on: Sequence[str],
    labelled: set[int],
    validated_on: str,
    z_projection: str = "none",
    warning: str = "",
    measure: Callable[[Model], dict[str, Any]] | None = None,
) -> Path:
    """Write the best state of a training, or its last, as a native model.

    Parameters
    ----------
    patch
        (D, H, W) in voxels.
    trained_on
        Sentences on the data.
    labelled
        Outputs that had any label to learn from.
    validated_on
        What the scores are of.
    z_projection
        ``none``, ``mean``, ``max``.
        Of the card: how predictions become what all labels were, single planes.
    warning
        A limit that follows from the data; "" for none.
    measure
        Gives fields of the card that need the finished network.

    Returns
    -------
    ``ID.safetensors`` in the output folder.

    Raises
    ------
    OutputError
        It cannot be written.
    ModelError
        The weights are not finite.
    """
    config = setup.config
    files = RunFolder(config.out)
    best = files.best()
    trained: Any = build_network(network)
    trained.load_state_dict(files.averaged() if best is None else best["network"])
    trained.requires_grad_(False)
    if network.standardised:
        trained.bake()
    dtype = getattr(torch, config.model.weights)
    # The card's check is of the weights as they will be in the file.
    trained = trained.to(dtype).float().eval()
    card = _card(setup, trained, structures, patch)
    if warning:
        card = card.model_copy(update={"limits": (*card.limits, warning)})
    forgotten = [one for k, one in enumerate(structures) if k not in labelled]
    if forgotten:
        limit = (
            f"Had no label of {', '.join(forgotten)} when it was fine-tuned: these may "
            "be worse than in the model that it began with."
        )
        card = card.model_copy(update={"limits": (*card.limits, limit)})
    card = card.model_copy(
        update={
            "trained_on": " ".join([*trained_on, _recipe_words(config, files, patch)]),
            "scores": {} if best is None else _scores(files, best, validated_on),
            "z_projection": z_projection,
        }
    )
    tensors = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in trained.state_dict().items()
    }
    path = config.out / f"{card.id}.safetensors"
    if measure is not None:
        card = card.model_copy(update=measure(Model(card, trained, "", path)))
    check = make_check(trained, digest_of_tensors(tensors))
    card = card.model_copy(update={"check": check})
    return save_model(path, trained, card, dtype=dtype)


def _card(
    setup: Setup,
    network: nn.Module,
    structures: tuple[str, ...],
    patch: tuple[int, int, int],
) -> ModelCard:
    model, config = setup.config.model, network.config
    assert isinstance(config, NetworkConfig)
    limits, modality = model.limits, model.modality
    if setup.source is not None:
        if "modality" not in model.model_fields_set:
            modality = setup.source.modality
        began = f"Of {setup.source.id}, with which it began: "
        limits = (*limits, *(began + one for one in setup.source.limits))
    return ModelCard(
        id=model.id,
        version=model.version,
        name=model.name or model.id,
        licence=model.licence,
        citation=model.citation,
        structures=structures,
        **network_fields(config),
        voxel_size=setup.voxel_size,
        patch=patch,
        ratios=setup.ratios(config),
        modality=modality,
        normalisation=_SCALING_WORDS[setup.scaling],
        scaling=setup.scaling,  # type: ignore[arg-type]
        trained_on="",
        limits=limits,
        source=of_training("" if setup.source is None else setup.source.id),
    )


def _recipe_words(
    config: TrainConfig, files: RunFolder, patch: tuple[int, int, int]
) -> str:
    steps = files.progress().step
    extent = "×".join(map(str, patch))
    return (
        f"Recipe {config.recipe.name}, loss {config.loss}, {steps} steps of "
        f"{files.progress().batch} patches of {extent} voxels, seed {config.seed}."
    )


def _scores(
    files: RunFolder, best: dict[str, Any], validated_on: str
) -> dict[str, Any]:
    """R² of the best state, by structure and ratio."""
    validated = [one for one in files.entries() if one.get("r2") is not None]
    entry = next((one for one in validated if one["step"] == best["step"]), {})
    found = {
        "on": validated_on,
        "r2": best["r2"],
        "step": best["step"],
        "r2_by_structure_and_ratio": entry.get("scores", {}),
    }
    # What it began with, on the same voxels: so that one sees what was learnt.
    if validated and validated[0]["step"] == 0:
        found["r2_before_training"] = validated[0]["r2"]
    return {"validation": found}


FEW_STACKS = 3
"""So few, and the card says what that means."""


@dataclass(frozen=True, eq=False)
class Stacks:
    """The data of a training.

    Attributes
    ----------
    structures
        Of the network's outputs, which the pairs' labels count.
    training
        May change with the step; see `RenewedPairs`.
    words
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
    listen
        Called after each step.
    stop
        Asked after each step; true saves and ends.
    group
        Other processes that train with this one; the main one writes the model.
    show
        Called at each validation with what the network says of one patch.

    Returns
    -------
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
    stacks
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
