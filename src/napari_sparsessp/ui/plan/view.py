"""How what would be measured, or what is in its way, appears in the Plan form."""

from typing import TYPE_CHECKING

from napari_sparsessp.evaluation.sweep_report import need_of
from napari_sparsessp.ui.engine.model_words import TOPOLOGIES
from napari_sparsessp.ui.error_details import error_details
from napari_sparsessp.ui.inputs.expectation import expectations
from napari_sparsessp.ui.look.step import Mark
from napari_sparsessp.ui.plan.choice import PlanChoice, PlanOutlook
from napari_sparsessp.ui.plan.foot import PlanState
from napari_sparsessp.ui.plan.form import PlanForm
from napari_sparsessp.ui.plan.words import listed, nth

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.sweep_report import SweepReport


def show_plan(form: PlanForm, choice: PlanChoice, plan: PlanOutlook) -> None:
    """Show headlines and marks, and what the stack is.

    Parameters
    ----------
    form : PlanForm
    choice : PlanChoice
    plan : PlanOutlook
        What comes of it.
    """
    seen, stack = plan.seen, choice.stack
    rows = []
    if seen.reading is not None:
        rows = expectations(stack.card, seen.reading, stack.channel, None)
    form.input.show_expectations(rows)
    ratios = [ratio for ratio in choice.ratios if ratio > 1]
    form.ratio_step.set_headline(
        f"keep every <b>{listed([nth(one) for one in ratios])} plane</b>"
        if ratios
        else "keep <b>every r-th plane</b>"
    )
    label = "" if stack.card is None else TOPOLOGIES[stack.card.topology][0]
    form.topology_step.set_headline(f"with a <b>{label} network</b>")
    ready = plan.job is not None
    settled = Mark.GOOD if ready else Mark.WAITING
    order = list(Mark)
    marks = [row.mark for row in rows]
    form.stack_step.set_mark(max(marks, key=order.index) if marks else settled)
    if plan.sparse or seen.problem is not None:
        form.stack_step.set_mark(Mark.BAD)
    form.ratio_step.set_mark(Mark.GOOD if ratios else Mark.WAITING)
    form.judge_step.set_mark(
        Mark.WAITING if not ready else Mark.WARN if choice.against_dense else Mark.GOOD
    )
    form.topology_step.set_mark(Mark.BAD if stack.card is None else Mark.GOOD)
    form.device_step.set_mark(Mark.GOOD)


def result_mark(report: "SweepReport | None", growing: bool) -> Mark:
    """Say how far the answer can be relied on."""
    if report is None or growing:
        return Mark.WAITING
    return Mark.WARN if report.against_dense or need_of(report) is None else Mark.GOOD


def show_foot(form: PlanForm, plan: PlanOutlook, known: bool) -> None:
    """Show whether the button can be pressed, and why not.

    Parameters
    ----------
    form : PlanForm
    plan : PlanOutlook
    known : bool
        What is chosen was measured already and is shown.
    """
    foot, seen = form.foot, plan.seen
    foot.reset_progress()
    if plan.sparse:
        foot.message.show_notices([plan.sparse])
        foot.set_state(PlanState.BLOCKED, plan.sparse)
        foot.set_status("There is nothing to leave out of this stack: see above.")
    elif seen.problem is not None:
        foot.message.show_error(
            str(seen.problem), error_details(seen.problem, seen.request)
        )
        foot.set_state(PlanState.BLOCKED, str(seen.problem))
        foot.set_status("Something is in the way: see above.")
    elif plan.job is None:
        foot.message.clear()
        foot.set_state(PlanState.BLOCKED, plan.waiting)
        foot.set_status(plan.waiting)
    else:
        warnings = () if seen.plan is None else seen.plan.warnings
        foot.message.show_notices([*seen.notes, *warnings])
        foot.set_state(PlanState.KNOWN if known else PlanState.READY)
        foot.set_status("Measured." if known else _work(plan))


def _work(plan: PlanOutlook) -> str:
    """Say how much is going to be predicted."""
    job = plan.job
    assert job is not None
    count = len(job.request.structures)
    what = "1 structure" if count == 1 else f"{count} structures"
    times = sum(job.ratios) if job.all_phases else len(job.ratios)
    return f"Ready: {what}, the stack predicted {times} times."
