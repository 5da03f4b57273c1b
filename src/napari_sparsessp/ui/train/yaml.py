"""The Train dock's settings as a file for ``sparsessp train``, and back."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_sparsessp.errors import InputError
from napari_sparsessp.training.config import FineTune, TrainConfig
from napari_sparsessp.training.quick import PAIRS_FILE, RATE
from napari_sparsessp.training.recipe import Recipe
from napari_sparsessp.ui.train.choice import FilesPick
from napari_sparsessp.ui.train.form import TrainForm
from napari_sparsessp.ui.train.work import TrainJob, prepare

FILTER = "Training settings (*.yaml *.yml);;All files (*)"

# Values of a recipe that the form has fields for.
_SHOWN = ("patch", "learning_rate")


def job_beside(job: TrainJob, file: Path) -> TrainJob:
    """Give the same job with its run folder beside a YAML file.

    Parameters
    ----------
    job : TrainJob
    file : Path
        The YAML file to be.
    """
    config = job.config
    out = file.absolute().parent / config.model.id
    pairs = config.data.pairs
    assert pairs is not None
    if job.stacks or job.labels:
        pairs = pairs.model_copy(update={"path": out / PAIRS_FILE})
    data = config.data.model_copy(update={"pairs": pairs})
    return replace(job, config=config.model_copy(update={"out": out, "data": data}))


def save_yaml(job: TrainJob, file: Path, meter: Any) -> Path:
    """Write a job's config, and copies of its layers beside it; for a worker thread."""
    return prepare(job_beside(job, file), file, meter)


def show_config(form: TrainForm, config: TrainConfig) -> list[str]:
    """Fill the form with a config.

    Parameters
    ----------
    form : TrainForm
    config : TrainConfig

    Returns
    -------
    list of str
        What of it has no field here, a sentence each.

    Raises
    ------
    InputError
        It is of a training that the dock cannot run; nothing was filled in.
    """
    network, pairs = config.network, config.data.pairs
    if not isinstance(network, FineTune) or pairs is None or config.data.simulated:
        raise InputError(
            "this file trains a new network or uses simulated colonies, which the dock "
            "has no fields for; run it with: sparsessp train FILE"
        )
    if form.model.model_box.findData(network.source) < 0:
        raise InputError(
            f"the file begins with {network.source}, which is not among the models "
            "here; import it first"
        )
    told = _left_out(config)
    form.model.choose(network.source)
    form.model.freeze_box.setChecked(network.freeze_encoder)
    form.pairs.show_files()
    form.pairs.files.show_pick(
        FilesPick(
            pairs.path,
            signal="" if pairs.signal is None else str(pairs.signal),
            target="" if pairs.target is None else str(pairs.target),
            structure=pairs.structure or "",
        )
    )
    validation = config.validation
    form.split.set_part(validation.by, validation.share)
    if config.budget.minutes is not None:
        form.minutes.setValue(config.budget.minutes)
    recipe = config.recipe
    patch = recipe.patch[0] if recipe.patch != Recipe().patch else None
    rate = None if recipe.learning_rate == RATE else recipe.learning_rate
    form.options.show_values(config.ratios, patch, rate, config.loss)
    model = config.model
    form.name.show_values(model.name or model.id, model.id, model.licence)
    return told


def _left_out(config: TrainConfig) -> list[str]:
    """Say what the form cannot show."""
    told = []
    if config.budget.steps is not None:
        told.append(
            f"The file's budget is {config.budget.steps} steps; the dock counts "
            "minutes: look at them."
        )
    pairs = config.data.pairs
    if pairs is not None and pairs.crop:
        told.append(
            "The file crops its images; the dock takes them whole. sparsessp train "
            "crops them."
        )
    usual = Recipe(name="fast").model_dump()
    given = config.recipe.model_dump()
    other = [
        name for name in usual if given[name] != usual[name] and name not in _SHOWN
    ]
    if other:
        told.append(
            f"The file's recipe has its own {', '.join(other)}; here they are as "
            "usual. sparsessp train keeps them."
        )
    return told
