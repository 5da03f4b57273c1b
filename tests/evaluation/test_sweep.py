"""Sweeps with a small model: what is kept, scored and told."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest

from napari_sparsessp import PredictionRequest, load_model, metrics, predict
from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.planes_needed import (
    SELF_CONSISTENCY,
    KeepShare,
    LoseAtMost,
)
from napari_sparsessp.evaluation.sweep import plan_sweep, ratios_for, run_sweep
from napari_sparsessp.evaluation.sweep_findings import SweepFindings
from napari_sparsessp.evaluation.sweep_report import measure_yardsticks, sweep_report
from napari_sparsessp.evaluation.sweep_verdict import judged
from napari_sparsessp.volume import Volume
from thin import save_random, thin_network

CUBE = (0.29, 0.29, 0.29)
NAMES = ("dna", "golgi_apparatus")
REQUEST = PredictionRequest(input="stack", device="cpu", precision="fp32")


def _volume(seed, planes=8, voxel=CUBE):
    rng = np.random.default_rng(seed)
    stack = rng.integers(100, 4000, (planes, 40, 40)).astype(np.uint16)
    return Volume(stack, "ZYX", voxel, name="stack")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Random weights: enough for every promise but the quality."""
    path = tmp_path_factory.mktemp("model") / "thin.safetensors"
    return load_model(save_random(path, thin_network(), structures=NAMES))


def _sweep(model, ratios, volume=None, truth=None, **options):
    volume = volume or _volume(0)
    truth = truth or {"dna": _volume(1)}
    runs = plan_sweep(model.card, volume, truth, REQUEST, ratios, **options)
    seen = []
    return runs, list(run_sweep(model, runs, seen.append)), seen


def _with_r2(results, *values):
    """The phases of a sweep with other scores, one phase each."""
    r2 = iter(values)
    return [
        replace(one, phases=(replace(phase, structures={"dna": {"r2": next(r2)}}),))
        for one, _ in results
        for phase in one.phases
    ]


def test_a_sweep_gives_the_numbers_of_predict(model):
    _, results, _ = _sweep(model, (1, 4))
    request = REQUEST.model_copy(update={"simulate_sparse": True})
    alone = predict(
        model,
        _volume(0),
        structures=["dna"],
        ratio=4,
        request=request,
        truth={"dna": _volume(1)},
    )
    result, prediction = results[1]
    assert np.array_equal(prediction.numpy(), alone.volume.numpy())
    scores = result.structures["dna"]
    assert scores["r2"] == alone.report.structures["dna"]["r2"]
    assert scores["r2_fitted"] == pytest.approx(max(0, scores["pcc"]) ** 2)
    assert result.planes == 2
    assert result.phases[0].measured_planes == (0, 4)


def test_planes_that_are_left_out_are_never_looked_at(model):
    spoilt = _volume(0)
    spoilt.array[[1, 2, 3, 5, 6, 7]] = 0
    clean = _sweep(model, (4,))[1][0]
    other = _sweep(model, (4,), volume=spoilt)[1][0]
    assert np.array_equal(clean[1].numpy(), other[1].numpy())


@pytest.mark.parametrize("voxel", [CUBE, None])
def test_every_phase_starts_at_its_own_plane(model, voxel):
    truth = {"dna": _volume(1, voxel=voxel)}
    _, results, _ = _sweep(
        model, (1, 4), _volume(0, voxel=voxel), truth, all_phases=True
    )
    phases = results[1][0].phases
    assert [phase.measured_planes for phase in phases] == [
        (0, 4),
        (1, 5),
        (2, 6),
        (3, 7),
    ]
    assert len({phase.structures["dna"]["r2"] for phase in phases}) == 4
    mean = np.mean([phase.structures["dna"]["r2"] for phase in phases])
    assert results[1][0].structures["dna"]["r2"] == pytest.approx(mean)


def test_all_phases_are_scored_on_the_same_planes(model):
    _, results, _ = _sweep(model, (2,), all_phases=True)
    late = results[0][0].phases[1].structures["dna"]
    request = REQUEST.model_copy(update={"simulate_sparse": True, "phase": 1})
    alone = predict(model, _volume(0), structures=["dna"], ratio=2, request=request)
    assert alone.volume.shape[-3:] == (8, 40, 40)
    assert alone.report.measured_planes == (1, 3, 5, 7)
    expected = metrics.score(alone["dna"].array, _volume(1).array)
    assert late["r2"] == pytest.approx(expected["r2"], abs=1e-6)
    assert len(late["r2_per_plane"]) == 8


def test_progress_counts_every_tile_once(model):
    runs, _, seen = _sweep(model, (1, 2), all_phases=True)
    assert [now.done for now in seen] == list(range(1, seen[-1].total + 1))
    assert seen[-1].total == sum(run.plan.total_tiles for run in runs)
    assert seen[-1].seconds_left == 0


def test_the_report_says_everything_in_valid_json(model):
    runs, results, _ = _sweep(
        model, (8, 1, 2), truth={"dna": _volume(1), "golgi_apparatus": _volume(2)}
    )
    yardsticks, truth, light = measure_yardsticks(runs[0])
    assert light.shape == truth["dna"].shape == (8, 40, 40)
    report = sweep_report(
        [one for one, _ in results], runs, yardsticks, LoseAtMost(0.02)
    )
    said = json.loads(report.to_json())
    assert said["schema"] == 1
    assert said["finished"] is True
    assert [one["ratio"] for one in said["ratios"]] == [1, 2, 8]
    assert [one["planes"] for one in said["ratios"]] == [8, 4, 1]
    assert said["model"]["sha256"] == model.sha256
    first = said["ratios"][0]
    r2 = [first["structures"][name]["r2"] for name in ("dna", "golgi_apparatus")]
    assert first["means"]["over_structures"]["r2"] == pytest.approx(np.mean(r2))
    assert set(said["yardsticks"]["trivial"]["dna"]) >= {"plane_mean", "input"}
    assert "the mean of 2 structures" in said["answer"]
    # Random weights lose to a constant: no number of planes is enough for them.
    assert said["planes_needed"] == {"dna": None, "golgi_apparatus": None}


def test_each_structure_has_its_own_number_of_planes(model):
    runs, results, _ = _sweep(model, (1, 2, 4))
    yardsticks, truth, _ = measure_yardsticks(runs[0])
    good = _with_r2(results, 0.6, 0.59, 0.5)
    report = sweep_report(good, runs, yardsticks, LoseAtMost(0.02))
    assert report.planes_needed == {"dna": 4}
    assert report.answer.startswith("4 of 8 planes (r = 2) are enough")
    alone = sweep_report(good[:1], runs, yardsticks, LoseAtMost(0.02))
    assert alone.planes_needed == {"dna": None}
    loses = yardsticks.model_copy(deep=True)
    loses.trivial["dna"]["input"]["r2"] = 0.7
    assert sweep_report(good, runs, loses, LoseAtMost(0.02)).planes_needed == {
        "dna": None
    }


def test_the_answer_follows_the_rule_without_measuring_anew(model):
    runs, results, _ = _sweep(model, (1, 2, 4))
    yardsticks, _, _ = measure_yardsticks(runs[0])
    good = _with_r2(results, 0.6, 0.575, 0.5)
    report = sweep_report(good, runs, yardsticks)
    assert (report.share, report.tolerance) == (0.95, None)
    assert (report.ratio_needed, report.planes_needed["dna"]) == (2, 4)
    strict = judged(report, LoseAtMost(0.02))
    assert strict == sweep_report(good, runs, yardsticks, LoseAtMost(0.02)).model_copy(
        update={"created": report.created}
    )
    assert strict.ratio_needed == 1
    assert judged(strict, KeepShare()) == report


def _against_itself(model, ratios, cancel=None, tell=lambda now: None, **options):
    request = REQUEST.model_copy(update={"structures": ("dna",)})
    runs = plan_sweep(
        *(model.card, _volume(0), {}, request, ratios),
        against_dense=True,
        **options,
    )
    return runs, run_sweep(model, runs, tell, cancel)


def test_without_a_truth_the_dense_prediction_takes_its_place(model):
    runs, given = _against_itself(model, (4,))
    assert [run.ratio for run in runs] == [1, 4], "nothing to compare with otherwise"
    results = [result for result, _ in given]
    dense = results[0].structures["dna"]
    assert (dense["r2"], dense["mse"], dense["pcc"]) == (1.0, 0.0, pytest.approx(1.0))
    request = REQUEST.model_copy(update={"simulate_sparse": True})
    whole, sparse = (
        predict(model, _volume(0), structures=["dna"], ratio=ratio, request=request)
        for ratio in (1, 4)
    )
    r2 = metrics.r2(sparse["dna"].numpy(), whole["dna"].numpy())
    scores = results[1].structures["dna"]
    assert scores["r2"] == pytest.approx(r2, abs=1e-6)
    shift = metrics.score(
        (sparse["dna"].numpy() - whole["dna"].numpy().mean())
        / whole["dna"].numpy().std(),
        whole["dna"].numpy(),
    )
    for field in ("r2", "mse", "mae", "pcc", "pcc_plane"):
        assert scores[field] == pytest.approx(shift[field], abs=1e-5)


def test_self_consistency_is_never_called_truth(model, tmp_path):
    runs, given = _against_itself(model, (2, 4))
    findings = SweepFindings(runs, pictures=True)
    for result, prediction in given:
        findings.add(result, prediction)
    report = findings.report()
    assert report.against_dense
    assert SELF_CONSISTENCY in report.answer
    assert report.answer.startswith(("2 of 8", "4 of 8", "All 8"))
    assert report.yardsticks.ceiling == {"dna": None}
    findings.write_page(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "predicted from every plane" in page
    assert "noise ceiling</td>" not in page
    assert findings.gallery.light.strides == (0, 0, 0), "volumes are let go"


def test_a_sweep_is_against_a_truth_or_against_itself(model):
    with pytest.raises(InputError, match="not both"):
        plan_sweep(
            *(model.card, _volume(0), {"dna": _volume(1)}, REQUEST),
            against_dense=True,
        )


def test_a_cancelled_sweep_ends_within_a_tile(model):
    cancel, entered = threading.Event(), []

    def stop(_module, _arguments):
        entered.append(_module)
        cancel.set()

    _, given = _against_itself(model, (1, 2), cancel)
    first = next(given)
    hook = next(model.network.children()).register_forward_pre_hook(stop)
    try:
        assert list(given) == []
    finally:
        hook.remove()
    assert first[0].ratio == 1
    assert len(entered) == 1, "no second layer was begun"
    assert not any(one._forward_pre_hooks for one in model.network.modules())


def test_ratios_that_a_stack_cannot_give_are_not_chosen():
    assert ratios_for(32) == (1, 2, 4, 8)
    assert ratios_for(5, (8, 4, 3, 2, 1)) == (1, 2, 3, 4)
    assert ratios_for(4) == (1, 2)
    assert ratios_for(1) == ()


def test_a_part_of_a_sweep_says_that_it_is_one(model):
    runs, results, _ = _sweep(model, (1, 2))
    yardsticks, _, _ = measure_yardsticks(runs[0])
    report = sweep_report([results[0][0]], runs, yardsticks, LoseAtMost(0.02))
    assert not report.finished
    assert "sweep more ratios" in report.answer


@pytest.mark.parametrize(
    ("ratios", "says"), [((0,), "from 1 to 8"), ((), "from 1 to 8"), ((9,), "1 to 8")]
)
def test_ratios_that_leave_no_plane_are_refused(model, ratios, says):
    with pytest.raises(InputError, match=says):
        plan_sweep(model.card, _volume(0), {"dna": _volume(1)}, REQUEST, ratios)


def test_a_sweep_needs_a_truth_and_a_dense_stack(model):
    with pytest.raises(InputError, match="needs a truth"):
        plan_sweep(model.card, _volume(0), {}, REQUEST)
    coarse = (1.16, 0.29, 0.29)
    with pytest.raises(InputError, match="sparse already"):
        plan_sweep(
            model.card, _volume(0, voxel=coarse), {"dna": _volume(1)}, REQUEST, (2,)
        )
