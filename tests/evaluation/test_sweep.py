"""Sweeps with a small model: kept planes, scores, answers, and what is cancelled."""

import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from fake_engine import card
from napari_sparsessp import PredictionRequest, load_model, metrics, predict
from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation import sweep as sweeping
from napari_sparsessp.evaluation.html import SweepResults
from napari_sparsessp.evaluation.sampling_advice import (
    SELF_CONSISTENCY,
    KeepShare,
    LoseAtMost,
)
from napari_sparsessp.evaluation.sweep import (
    DenseReference,
    measure_baselines,
    plan_sweep,
    ratios_for,
    run_sweep,
    sweep_key,
    sweep_report,
)
from napari_sparsessp.evaluation.sweep_report import RatioScores, judged
from napari_sparsessp.tasks import Cancelled, no_progress
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

    def progress(done, total, what):
        seen.append((done, total, what))

    return runs, list(run_sweep(model, runs, progress)), seen


def _with_r2(results, *values):
    """The results of a sweep with other scores, one phase each."""
    changed = []
    for (one, _), r2 in zip(results, values, strict=True):
        (phase,) = one.scores.phases
        phase = phase.model_copy(update={"structures": {"dna": {"r2": r2}}})
        scores = RatioScores.of(one.scores.ratio, [phase])
        changed.append(SimpleNamespace(scores=scores, report=one.report))
    return changed


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
    scores = result.scores.structures["dna"]
    assert scores["r2"] == alone.report.structures["dna"]["r2"]
    assert scores["r2_fitted"] == pytest.approx(max(0, scores["pcc"]) ** 2)
    assert result.scores.planes == 2
    assert result.scores.phases[0].measured_planes == (0, 4)


def test_planes_that_are_left_out_are_never_looked_at(model):
    spoilt = _volume(0)
    spoilt.array[[1, 2, 3, 5, 6, 7]] = 0
    clean = _sweep(model, (4,))[1][0]
    other = _sweep(model, (4,), volume=spoilt)[1][0]
    assert np.array_equal(clean[1].numpy(), other[1].numpy())


@pytest.mark.parametrize("voxel", [CUBE, None])
def test_every_phase_starts_at_its_own_plane_and_is_scored_on_all(model, voxel):
    truth = {"dna": _volume(1, voxel=voxel)}
    runs, [(_, first), (result, _)], seen = _sweep(
        model, (1, 2), _volume(0, voxel=voxel), truth, all_phases=True
    )
    phases = result.scores.phases
    assert [one.measured_planes for one in phases] == [(0, 2, 4, 6), (1, 3, 5, 7)]
    r2 = [one.structures["dna"]["r2"] for one in phases]
    assert result.scores.structures["dna"]["r2"] == pytest.approx(np.mean(r2))
    request = REQUEST.model_copy(update={"simulate_sparse": True, "phase": 1})
    alone = predict(
        model, _volume(0, voxel=voxel), structures=["dna"], ratio=2, request=request
    )
    late = metrics.score(alone["dna"].array, _volume(1).array)
    assert r2[1] == pytest.approx(late["r2"], abs=1e-6) != r2[0]
    assert len(late["r2_per_plane"]) == first.shape[1] == 8
    total = sum(run.plan.total_tiles for run in runs)
    assert [now[:2] for now in seen] == [(done, total) for done in range(1, total + 1)]
    assert {what for *_, what in seen} == {"r = 1", "r = 2", "r = 2, from plane 1"}


def test_hot_pixels_of_a_truth_change_neither_baselines_nor_ceiling(model):
    hot = _volume(1)
    hot.array[:, 7, 9] = 65_535
    both = []
    for truth in (hot, _volume(1)):
        runs = plan_sweep(model.card, _volume(0), {"dna": truth}, REQUEST, (1,))
        baselines = measure_baselines(runs[0])[0]
        trivial = baselines.trivial["dna"]["plane_mean"]["mse"]
        both.append((baselines.ceiling["dna"]["r2"], trivial))
    assert both[0] == pytest.approx(both[1], abs=0.01)


def test_the_report_says_everything_in_valid_json(model):
    runs, results, _ = _sweep(
        model, (8, 1, 2), truth={"dna": _volume(1), "golgi_apparatus": _volume(2)}
    )
    baselines, truth, light = measure_baselines(runs[0])
    assert light.shape == truth["dna"].shape == (8, 40, 40)
    report = sweep_report(
        [one for one, _ in results], runs, baselines, LoseAtMost(0.02)
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


def test_the_answer_follows_the_rule_without_measuring_anew(model):
    runs, results, _ = _sweep(model, (1, 2, 4))
    baselines, _, _ = measure_baselines(runs[0])
    good, little = _with_r2(results, 0.6, 0.575, 0.5), LoseAtMost(0.02)
    report = sweep_report(good, runs, baselines)
    assert (report.share, report.tolerance) == (0.95, None)
    assert (report.ratio_needed, report.planes_needed["dna"]) == (2, 4)
    assert report.answer.startswith("4 of 8 planes (r = 2) are enough")
    strict = judged(report, little)
    assert strict == sweep_report(good, runs, baselines, little).model_copy(
        update={"created": report.created}
    )
    assert strict.ratio_needed == 1
    assert judged(strict, KeepShare()) == report
    part = sweep_report(good[:1], runs, baselines, little)
    assert not part.finished
    assert part.planes_needed == {"dna": None}
    assert "sweep more ratios" in part.answer
    loses = baselines.model_copy(deep=True)
    loses.trivial["dna"]["input"]["r2"] = 0.7
    assert sweep_report(good, runs, loses, little).planes_needed == {"dna": None}


def _against_itself(model, ratios, cancel=None, **options):
    request = REQUEST.model_copy(update={"structures": ("dna",)})
    runs = plan_sweep(
        *(model.card, _volume(0), {}, request, ratios), against_dense=True, **options
    )
    return runs, run_sweep(model, runs, no_progress, cancel)


def test_without_a_truth_the_dense_prediction_takes_its_place(model):
    runs, given = _against_itself(model, (4,))
    assert [run.ratio for run in runs] == [1, 4], "nothing to compare with otherwise"
    results = [result for result, _ in given]
    dense = results[0].scores.structures["dna"]
    assert (dense["r2"], dense["mse"], dense["pcc"]) == (1.0, 0.0, pytest.approx(1.0))
    request = REQUEST.model_copy(update={"simulate_sparse": True})
    whole, sparse = (
        predict(model, _volume(0), structures=["dna"], ratio=ratio, request=request)
        for ratio in (1, 4)
    )
    r2 = metrics.r2(sparse["dna"].numpy(), whole["dna"].numpy())
    scores = results[1].scores.structures["dna"]
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
    collected = SweepResults(runs, pictures=True)
    for result, prediction in given:
        collected.add(result, prediction)
    report = collected.report()
    assert report.against_dense
    assert SELF_CONSISTENCY in report.answer
    assert report.answer.startswith(("2 of 8", "4 of 8", "All 8"))
    assert report.baselines.ceiling == {"dna": None}
    collected.write_page(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "predicted from every plane" in page
    assert "noise ceiling</td>" not in page
    assert collected.gallery.light.strides == (0, 0, 0), "volumes are let go"


def test_a_cancelled_sweep_ends_within_a_tile(model):
    cancel, entered = threading.Event(), []

    def stop(_module, _arguments):
        entered.append(_module)
        cancel.set()

    _, given = _against_itself(model, (1, 2), cancel)
    first = next(given)
    hook = next(model.network.children()).register_forward_pre_hook(stop)
    try:
        with pytest.raises(Cancelled):
            next(given)
    finally:
        hook.remove()
    assert first[0].scores.ratio == 1
    assert len(entered) == 1, "no second layer was begun"
    assert not any(one._forward_pre_hooks for one in model.network.modules())


def test_ratios_that_a_stack_cannot_give_are_not_chosen():
    assert ratios_for(32) == (1, 2, 4, 8)
    assert ratios_for(5, (8, 4, 3, 2, 1)) == (1, 2, 3, 4)
    assert ratios_for(4) == (1, 2)
    assert ratios_for(1) == ()


@pytest.mark.parametrize(
    ("ratios", "truth", "voxel", "dense", "says"),
    [
        ((), 1, CUBE, False, "from 1 to 8"),
        ((0,), 1, CUBE, False, "from 1 to 8"),
        ((9,), 1, CUBE, False, "from 1 to 8"),
        ((2,), 0, CUBE, False, "needs a truth"),
        ((2,), 1, CUBE, True, "not both"),
        ((2,), 1, (1.16, 0.29, 0.29), False, "sparse already"),
    ],
)
def test_what_cannot_be_swept_is_refused(model, ratios, truth, voxel, dense, says):
    stack, truths = _volume(0, voxel=voxel), {"dna": _volume(1)} if truth else {}
    with pytest.raises(InputError, match=says):
        plan_sweep(model.card, stack, truths, REQUEST, ratios, against_dense=dense)


def _stack(seed=0, name="stack", **changes):
    return _volume(seed).with_(**{"name": name, **changes})


def _key(volume=None, truth=None, ratios=(1, 2), sha="abc", **request):
    asked = PredictionRequest(**{"device": "cpu", **request})
    truth = {"dna": truth or _volume(1)}
    return sweep_key(sha, plan_sweep(card(), volume or _stack(), truth, asked, ratios))


def test_names_of_layers_do_not_matter_to_the_key():
    assert _key(_stack(name="other"), input="other") == _key(input="stack")


@pytest.mark.parametrize(
    "change",
    [
        {"volume": _stack(5)},
        {"volume": _stack(voxel_size=(0.3, 0.29, 0.29))},
        {"truth": _stack(6)},
        {"ratios": (1, 4)},
        {"sha": "abd"},
        {"tta": True},
        {"device": "auto"},
    ],
    ids=str,
)
def test_every_change_of_the_scores_makes_another_key(change):
    assert _key(**change) != _key()


def test_a_changed_voxel_changes_the_key_and_little_is_read_at_a_time(monkeypatch):
    volume, parts = _stack(), []
    runs = plan_sweep(card(), volume, {"dna": _volume(1)}, REQUEST, (1, 2))
    before = sweep_key("abc", runs)
    monkeypatch.setattr(sweeping, "_HASHED_AT_ONCE", 3 * 40 * 40 * 2)
    assert sweep_key("abc", runs, lambda *now: parts.append(now)) == before
    assert [done for done, *_ in parts] == [3, 6, 8] * 2
    volume.array[7, 39, 39] += 1
    assert sweep_key("abc", runs) != before


def test_masked_voxels_and_constants_do_not_count():
    values = np.random.default_rng(0).normal(2, 3, (2, 4, 9, 9)).astype(np.float32)
    values[:, 0] = np.nan
    values[1] = 7.0
    dense = Volume(values, "CZYX", CUBE, ("dna", "nucleolus"))
    scores = DenseReference(dense).scores(dense)
    assert scores["dna"]["r2"] == 1
    assert scores["dna"]["r2_per_plane"][0] is None
    assert scores["nucleolus"]["r2"] is None
