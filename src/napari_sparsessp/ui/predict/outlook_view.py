"""How a plan, or what is in its way, appears in the form: sentence, marks, drawing."""

from typing import Any

from napari_sparsessp.ui.engine.model_words import TOPOLOGIES, is_pass_each
from napari_sparsessp.ui.inputs.card_quality import expected_quality, mean_quality
from napari_sparsessp.ui.inputs.expectation import expectations
from napari_sparsessp.ui.inputs.sampling_panel import ordinal
from napari_sparsessp.ui.predict.form import PredictForm
from napari_sparsessp.ui.predict.outlook import Choice, Outlook
from napari_sparsessp.ui.predict.pace import Pace, turns_of
from napari_sparsessp.ui.widgets.basic import Mark
from napari_sparsessp.ui.widgets.style import duration_text

# A stack whose z step is at most this much above the model's counts as dense.
_DENSE = 1.25


def show_outlook(form: PredictForm, choice: Choice, seen: Outlook, pace: Pace) -> None:
    """Show everything but the foot.

    Parameters
    ----------
    form : PredictForm
    choice : Choice
        What the user chose.
    seen : Outlook
        What comes of it.
    pace : Pace
        How long it takes here.
    """
    view = None if seen.plan is None else seen.plan.view
    rows = []
    if seen.reading is not None:
        ratio = None if view is None else view.ratio
        rows = expectations(choice.card, seen.reading, choice.channel, ratio)
    form.input.show_expectations(rows)
    known = seen.reading is not None and seen.reading.volume.voxel_size is not None
    step = seen.plan.card.voxel_size[0] if seen.plan is not None and known else None
    flat = choice.card is not None and choice.card.z_projection != "none"
    form.sampling.show_view(view, step, flat)
    memory = None if seen.plan is None else seen.plan.memory
    form.options.show_memory("" if memory is None else memory.text)
    _show_quality(form, choice, seen, pace)
    _show_headlines(form, choice, seen)
    _show_marks(form, choice, seen, [row.mark for row in rows])


def _show_quality(form: PredictForm, choice: Choice, seen: Outlook, pace: Pace) -> None:
    """Say what R² and what time are to be expected, of each topology."""
    ratio = choice.ratio if seen.plan is None else seen.plan.view.ratio
    ids = () if choice.card is None else choice.card.structures
    form.structures.set_expected(
        {id_: expected_quality(choice.card, id_, ratio) for id_ in ids}
    )
    wanted = choice.structures or ids
    mean = mean_quality(choice.card, wanted, ratio)
    form.show_measured_on("" if mean is None else mean.measured_on)
    found = {}
    for topology, card in form.topology.served().items():
        seconds = None if seen.plan is None else pace.expected(seen.plan, card)
        found[topology] = (mean_quality(card, wanted, ratio), seconds)
    form.topology.show_prospects(found)


def is_dense(choice: Choice, seen: Outlook) -> bool | None:
    """Tell whether the stack's planes are as close as the model's; None: unknown."""
    if seen.reading is None or choice.card is None:
        return None
    size = seen.reading.volume.voxel_size
    return None if size is None else size[0] <= _DENSE * choice.card.voxel_size[0]


def work_text(plan: Any, seconds: float | None = None) -> str:
    """Say how much a plan will predict, and how long that takes if it is known."""
    depth, height, width = plan.output_shape[-3:]
    times = plan.output_shape[0] if plan.output_axes.startswith("T") else 1
    count = len(plan.structures)
    what = "1 structure" if count == 1 else f"{count} structures"
    at = f" at {times} times" if times > 1 else ""
    passes = f" in {count} passes" if count > 1 and is_pass_each(plan.card) else ""
    turns = turns_of(plan)
    cost = f" · {turns}× slower" if turns > 1 else ""
    if seconds is not None:
        cost = f" · {duration_text(seconds)}"
    return f"Ready: {what}{passes}{at}, {depth} × {height} × {width} voxels{cost}"


def done_text(report: Any) -> str:
    """Say how long it took and how good it is."""
    found = [one.get("r2") for one in report.structures.values()]
    values = [value for value in found if value is not None]
    text = f"Done in {duration_text(report.seconds.total)}"
    if values:
        mean = sum(values) / len(values)
        text += f" · mean R² {mean:.2f} of {len(values)} with truth"
    return text.replace("-", "\u2212")


def _show_headlines(form: PredictForm, choice: Choice, seen: Outlook) -> None:
    ratio = choice.ratio if seen.plan is None else seen.plan.view.ratio
    form.sampling_step.set_headline(
        "sampled at <b>every r-th plane</b>"
        if ratio is None
        else f"sampled {ordinal(ratio)}"
    )
    count = len(choice.structures)
    form.structure_step.set_headline(
        "predict <b>1 structure</b>"
        if count == 1
        else f"predict <b>{count or 'no'} structures</b>"
    )
    label = "" if choice.card is None else TOPOLOGIES[choice.card.topology][0]
    form.topology_step.set_headline(f"with a <b>{label} network</b>")


def _show_marks(
    form: PredictForm, choice: Choice, seen: Outlook, marks: list[Mark]
) -> None:
    settled = Mark.GOOD if seen.plan is not None else Mark.WAITING
    order = list(Mark)
    form.stack_step.set_mark(max(marks, key=order.index) if marks else settled)
    form.sampling_step.set_mark(settled)
    form.structure_step.set_mark(Mark.GOOD if choice.structures else Mark.WAITING)
    form.topology_step.set_mark(Mark.BAD if choice.card is None else Mark.GOOD)
    form.device_step.set_mark(Mark.GOOD)
    if seen.problem is not None:
        _culprit(form, str(seen.problem).lower()).set_mark(Mark.BAD)


def _culprit(form: PredictForm, text: str) -> Any:
    """Guess from a message which step it is about; the stack where nothing tells."""
    for word, step in (
        ("device", form.device_step),
        ("memory", form.device_step),
        ("truth", form.structure_step),
        ("structure", form.structure_step),
        ("ratio", form.sampling_step),
        ("simulat", form.sampling_step),
    ):
        if word in text:
            return step
    return form.stack_step
