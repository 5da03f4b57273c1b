"""A whole training: from a config and the data's stacks to a model file."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from napari_sparsessp.errors import InputError
from napari_sparsessp.models.card import (
    SCALINGS,
    ModelCard,
    network_fields,
    of_training,
)
from napari_sparsessp.models.library import Model, load_model, save_model
from napari_sparsessp.models.verification import make_check
from napari_sparsessp.models.weights import digest_of_tensors
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.networks.layers import without_values
from napari_sparsessp.prediction.device import choose_device, choose_precision
from napari_sparsessp.tasks import Progress, no_progress
from napari_sparsessp.training.calibration import STACKS as CALIBRATION_STACKS
from napari_sparsessp.training.calibration import calibrations, learned_ranges
from napari_sparsessp.training.checkpoints import RunFolder, has_state
from napari_sparsessp.training.config import FineTune, TrainConfig
from napari_sparsessp.training.data import TrainingData
from napari_sparsessp.training.distributed import Group
from napari_sparsessp.training.loop import Status, TrainingPlan, train
from napari_sparsessp.training.pairs import Pair
from napari_sparsessp.training.patches import PatchRecipe, RenewedPairs
from napari_sparsessp.training.resolve import ResolvedConfig, claim_folder
from napari_sparsessp.training.validation import Preview, Validator, preview_patch

FEW_STACKS = 3
"""So few, and the card says what that means."""

_ENCODER = ("encoder", "plane_stem", "down", "first", "residual", "downs")
"""First parts of the names of all that comes before depth is folded."""

_OPTIMISER = {
    "batch", "weight_decay", "warm_up", "average", "optimiser", "schedule", "clip",
}  # fmt: skip
_CHANGES = {"noise", "gain", "tilt", "clutter", "thin", "turns"}


def run_training(
    resolved: ResolvedConfig,
    data: TrainingData,
    listen: Callable[[Status], None] | None = None,
    progress: Progress = no_progress,
    group: Group | None = None,
    show: Callable[[Preview], None] | None = None,
) -> Path:
    """Train, or resume a training, and write the model.

    `listen` and `progress` are called after each step, `progress` between stacks that
    are validated too; `show` at each validation with the prediction of one patch. The
    main process of a `group` writes the model. Raises what `progress` raises, with the
    state saved, and SparseSSPError for anything that the user can mend.
    """
    config, group = resolved.config, group or Group()
    network = resolved.network(data.structures)
    recipe = patch_recipe(resolved, network, data.training)
    plan = training_plan(resolved, network)
    if group.device is not None:
        plan = replace(plan, device=group.device)
    with group.main_first():
        claim_folder(config, data.structures, group.main)
    fresh = initialise(resolved, network, data.structures).to(plan.device)
    validator = Validator(
        _spread_out(data.validation, config.validation.stacks), data.structures,
        recipe.ratios, recipe.interpolation, plan.device, plan.precision,
        plan.projection, progress,
    )  # fmt: skip
    preview = preview_patch(
        validator.pairs, recipe, data.structures, plan.device, network.stride
    )

    def validate(judged: nn.Module) -> dict[str, Any]:
        if show is not None and preview is not None:
            show(preview(judged))
        return validator(judged)

    train(
        fresh, data.training, recipe, plan, config.out,
        validate if validator.pairs else None, listen, progress, group,
    )  # fmt: skip
    with group.main_first():
        if not group.main:
            return config.out / f"{config.model.id}.safetensors"
        return write_model(resolved, data)


def write_best(resolved: ResolvedConfig, data: TrainingData) -> Path:
    """Write the model of a training that was stopped: its best state so far."""
    if not has_state(resolved.config.out):
        raise InputError(
            f"{resolved.config.out} holds no state of a training yet; let it run on"
        )
    return write_model(resolved, data)


def initialise(
    resolved: ResolvedConfig, config: NetworkConfig, structures: tuple[str, ...]
) -> nn.Module:
    """Build the network, the same for the same seed."""
    torch.manual_seed(resolved.config.seed)
    network = build_network(config)
    given = resolved.config.network
    if isinstance(given, FineTune):
        model = load_model(given.source)
        transfer(model.network, model.card.structures, network, structures)
        if given.freeze_encoder:
            freeze_encoder(network)
    return network


def freeze_encoder(network: nn.Module) -> None:
    """Freeze all that comes before depth is folded, in place."""
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
    """Copy all weights; outputs go by structure, new ones stay as they are.

    Both networks have the same description but for their outputs. Raises InputError
    where the structures differ and cannot be separated in the weights.
    """
    config = network.config
    assert isinstance(config, NetworkConfig)
    have, own = source.state_dict(), network.state_dict()
    if wanted == known:
        network.load_state_dict(have)
        return
    # In the same network with another output, what grows is of the structures.
    with without_values():
        twin = build_network(config.model_copy(update={"outputs": config.outputs + 1}))
    more = {name: tensor.shape for name, tensor in twin.state_dict().items()}
    shared = [(wanted.index(one), known.index(one)) for one in wanted if one in known]
    for name, tensor in own.items():
        first, number, *rest = [*name.split("."), ""]

        def entry(index: int, first: str = first, rest: list[str] = rest) -> str:
            return f"{first}.{index}.{'.'.join(rest)}".rstrip(".")

        if entry(len(wanted)) in more.keys() - own:  # a list, one entry a structure
            for new, old in shared:
                if int(number) == new:
                    tensor.copy_(have[entry(old)])
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
        # Rows of the structures come behind those that belong to none.
        before = tensor.shape[axis] - each * len(wanted)
        tensor.narrow(axis, 0, before).copy_(have[name].narrow(axis, 0, before))
        for new, old in shared:
            rows = have[name].narrow(axis, before + old * each, each)
            tensor.narrow(axis, before + new * each, each).copy_(rows)


def write_model(resolved: ResolvedConfig, data: TrainingData) -> Path:
    """Write the best state of a training, or its last, as a native model."""
    config, files = resolved.config, RunFolder(resolved.config.out)
    network = resolved.network(data.structures)
    recipe = patch_recipe(resolved, network, data.training)
    best = files.best()
    trained: Any = build_network(network)
    trained.load_state_dict(files.averaged() if best is None else best["network"])
    trained.requires_grad_(False)
    blend = config.network.blend if isinstance(config.network, FineTune) else 1.0
    if blend < 1:
        start = initialise(resolved, network, data.structures).state_dict()
        for name, tensor in trained.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.lerp(start[name], tensor, blend))
    if network.standardised:
        trained.bake()
    dtype = getattr(torch, config.model.weights)
    # The card's check is of the weights as they will be in the file.
    trained = trained.to(dtype).float().eval()
    card = _card(resolved, data, trained.config, recipe, files, best)
    path = config.out / f"{card.id}.safetensors"
    plan = training_plan(resolved, network)
    kept_back = _spread_out(data.validation, CALIBRATION_STACKS)
    model = Model(card, trained, "", path)
    tensors = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in trained.state_dict().items()
    }
    measured = {
        "familiarity": learned_ranges(
            data.training, recipe, resolved.voxel_size, resolved.source
        ),
        "uncertainty": calibrations(model, kept_back, plan.device, plan.precision),
        "check": make_check(trained, digest_of_tensors(tensors)),
    }
    card = card.model_copy(update=measured)
    return save_model(path, trained, card, dtype=dtype)


def _card(
    resolved: ResolvedConfig,
    data: TrainingData,
    network: NetworkConfig,
    recipe: PatchRecipe,
    files: RunFolder,
    best: dict[str, Any] | None,
) -> ModelCard:
    config, model, source = resolved.config, resolved.config.model, resolved.source
    modality = model.modality
    if source is not None and "modality" not in model.model_fields_set:
        modality = source.modality
    patch = (recipe.depth, recipe.height, recipe.width)
    position, extent = files.position(), "×".join(map(str, patch))
    learned = (
        f"Recipe {config.recipe.name}, loss {config.loss}, {position.step} steps of "
        f"{position.batch} patches of {extent} voxels, seed {config.seed}."
    )
    blend = config.network.blend if isinstance(config.network, FineTune) else 1.0
    blended = [f"The weights are {blend:.0%} of the way to them."] * (blend < 1)
    pairs = config.data.pairs
    flat = all(len(one) == 1 for pair in data.training for one in pair.targets)
    return ModelCard(
        id=model.id,
        version=model.version,
        name=model.name or model.id,
        licence=model.licence,
        citation=model.citation,
        structures=data.structures,
        **network_fields(network),
        voxel_size=resolved.voxel_size,
        patch=patch,
        ratios=resolved.ratios(network),
        modality=modality,
        normalisation=SCALINGS[resolved.scaling],
        scaling=resolved.scaling,
        trained_on=model.trained_on or " ".join([*data.words, *blended, learned]),
        training_images=_training_images(resolved, data),
        limits=_limits(resolved, data),
        scores=_given_scores(config)
        | ({} if best is None else _scores(resolved, data, files, best)),
        # Where all labels are projections, so is what the model predicts.
        z_projection=pairs.projection if pairs is not None and flat else "none",
        source=of_training("" if source is None else source.id),
    )


def _training_images(resolved: ResolvedConfig, data: TrainingData) -> tuple[str, ...]:
    """Hashes of all real stacks of which the weights have seen any part."""
    before = () if resolved.source is None else resolved.source.training_images
    return tuple(sorted({*before, *(p.digest for p in data.training if p.digest)}))


def _limits(resolved: ResolvedConfig, data: TrainingData) -> tuple[str, ...]:
    limits, pairs = list(resolved.config.model.limits), data.training
    if (source := resolved.source) is not None:
        began = f"Of {source.id}, from which it was fine-tuned: "
        limits += [began + limit for limit in source.limits]
    if len(pairs) <= FEW_STACKS and not isinstance(pairs, RenewedPairs):
        shapes = ["×".join(map(str, pair.looks.shape[1:])) for pair in pairs]
        stacks = "one stack" if len(pairs) == 1 else f"{len(pairs)} stacks"
        limits.append(
            f"Trained on {stacks} only ({', '.join(shapes)} voxels): other cells, "
            "contrasts, microscopes and magnifications are outside of what it knows."
        )
    labelled = {label for pair in pairs for label in pair.labels}
    forgotten = [one for k, one in enumerate(data.structures) if k not in labelled]
    if forgotten:
        limits.append(
            f"Had no label of {', '.join(forgotten)} when it was fine-tuned: these may "
            "be worse than in the model that it began with."
        )
    return tuple(limits)


def _given_scores(config: TrainConfig) -> dict[str, Any]:
    """Return scores that were measured elsewhere."""
    path = config.model.scores
    if path is None:
        return {}
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"model.scores: {path} is no JSON ({error})") from error
    if not isinstance(scores, dict):
        raise InputError(f"model.scores: {path} has no names of scores")
    cards = scores.get("cards")  # of sparsessp benchmark quality
    return cards.get(config.model.id, scores) if isinstance(cards, dict) else scores


def _scores(
    resolved: ResolvedConfig, data: TrainingData, files: RunFolder, best: dict[str, Any]
) -> dict[str, Any]:
    """R² of the best state, by structure and ratio."""
    validation = resolved.config.validation
    count = len(_spread_out(data.validation, validation.stacks))
    judged = f"{count} stack{'s' * (count != 1)}"
    if validation.by != "stack":
        judged = f"the far end in {validation.by} of {judged}"
        if validation.gap:
            judged += f" beyond a gap of {validation.gap} pixels"
    validated = [entry for entry in files.entries() if entry.get("r2") is not None]
    entry = next((one for one in validated if one["step"] == best["step"]), {})
    scores = {
        "on": f"{judged}, kept back where the data do not say another split; the state "
        "was chosen by this score",
        "r2": best["r2"],
        "step": best["step"],
        "r2_by_structure_and_ratio": entry.get("scores", {}),
    }
    given = resolved.config.data
    if given.simulated is None or given.pairs is None:
        scores["data"] = "real" if given.simulated is None else "simulated"
    # What it began with, on the same voxels: it shows what was learnt.
    if validated and validated[0]["step"] == 0:
        scores["r2_before_training"] = validated[0]["r2"]
    return {"validation": scores}


def _spread_out(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Return at most so many, from all over the list."""
    share = min(1.0, count / max(len(pairs), 1))
    return [
        pair for index, pair in enumerate(pairs)
        if int((index + 1) * share + 1e-9) > int(index * share + 1e-9)
    ]  # fmt: skip


def bf16_is_safe(network: NetworkConfig, device: str) -> bool:
    """Whether gradients in bfloat16 can be trusted.

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


def training_plan(resolved: ResolvedConfig, network: NetworkConfig) -> TrainingPlan:
    """Put together what the loop needs."""
    config, recipe = resolved.config, resolved.config.recipe
    device = choose_device(config.device)
    precision = choose_precision(recipe.precision, device, network)
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
        learning_rate=resolved.learning_rate,
        save_every=budget.save_minutes or min(4.0, minutes / 10),
        save_steps=save_steps,
        # float16 would need its gradients scaled; bfloat16 does not.
        precision="bf16" if precision == "bf16" else "fp32",
        seed=config.seed,
        device=str(device),
        loss=config.loss,
        projection="mean" if pairs is None else pairs.projection,
        judge_first=resolved.source is not None,
        **recipe.model_dump(include=_OPTIMISER),
    )


def patch_recipe(
    resolved: ResolvedConfig, network: NetworkConfig, pairs: Sequence[Pair]
) -> PatchRecipe:
    """Return how patches are cut from these stacks for this network."""
    recipe, stride = resolved.config.recipe, network.stride
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
    return PatchRecipe(
        network.depth,
        size[0],
        size[1],
        ratios=resolved.ratios(network),
        random_phase=resolved.random_phase(network),
        interpolation=network.interpolation,
        inputs=network.inputs,
        every=network.ratio,
        **recipe.model_dump(include=_CHANGES),
    )
