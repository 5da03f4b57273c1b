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
def test_every_phase_starts_at_its_own_plane(model, voxel):
    truth = {"dna": _volume(1, voxel=voxel)}
    _, results, _ = _sweep(
        model, (1, 4), _volume(0, voxel=voxel), truth, all_phases=True
    )
    phases = results[1][0].scores.phases
    assert [phase.measured_planes for phase in phases] == [
        (0, 4),
        (1, 5),
        (2, 6),
        (3, 7),
    ]
    assert len({phase.structures["dna"]["r2"] for phase in phases}) == 4
    mean = np.mean([phase.structures["dna"]["r2"] for phase in phases])
    assert results[1][0].scores.structures["dna"]["r2"] == pytest.approx(mean)


def test_all_phases_are_scored_on_the_same_planes(model):
    _, results, _ = _sweep(model, (2,), all_phases=True)
    late = results[0][0].scores.phases[1].structures["dna"]
    request = REQUEST.model_copy(update={"simulate_sparse": True, "phase": 1})
    alone = predict(model, _volume(0), structures=["dna"], ratio=2, request=request)
    assert alone.volume.shape[-3:] == (8, 40, 40)
    assert alone.report.measured_planes == (1, 3, 5, 7)
    expected = metrics.score(alone["dna"].array, _volume(1).array)
    assert late["r2"] == pytest.approx(expected["r2"], abs=1e-6)
    assert len(late["r2_per_plane"]) == 8


def test_progress_counts_every_tile_once(model):
    runs, _, seen = _sweep(model, (1, 2), all_phases=True)
    total = sum(run.plan.total_tiles for run in runs)
    assert [done for done, *_ in seen] == list(range(1, total + 1))
    assert {all_tiles for _, all_tiles, _ in seen} == {total}
    assert {what for *_, what in seen} == {"r = 1", "r = 2", "r = 2, from plane 1"}


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


def test_each_structure_has_its_own_number_of_planes(model):
    runs, results, _ = _sweep(model, (1, 2, 4))
    baselines, truth, _ = measure_baselines(runs[0])
    good = _with_r2(results, 0.6, 0.59, 0.5)
    report = sweep_report(good, runs, baselines, LoseAtMost(0.02))
    assert report.planes_needed == {"dna": 4}
    assert report.answer.startswith("4 of 8 planes (r = 2) are enough")
    alone = sweep_report(good[:1], runs, baselines, LoseAtMost(0.02))
    assert alone.planes_needed == {"dna": None}
    loses = baselines.model_copy(deep=True)
    loses.trivial["dna"]["input"]["r2"] = 0.7
    assert sweep_report(good, runs, loses, LoseAtMost(0.02)).planes_needed == {
        "dna": None
    }


def test_the_answer_follows_the_rule_without_measuring_anew(model):
    runs, results, _ = _sweep(model, (1, 2, 4))
    baselines, _, _ = measure_baselines(runs[0])
    good = _with_r2(results, 0.6, 0.575, 0.5)
    report = sweep_report(good, runs, baselines)
    assert (report.share, report.tolerance) == (0.95, None)
    assert (report.ratio_needed, report.planes_needed["dna"]) == (2, 4)
    strict = judged(report, LoseAtMost(0.02))
    assert strict == sweep_report(good, runs, baselines, LoseAtMost(0.02)).model_copy(
        update={"created": report.created}
    )
    assert strict.ratio_needed == 1
    assert judged(strict, KeepShare()) == report


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


def test_a_sweep_is_against_a_truth_or_against_itself(model):
    with pytest.raises(InputError, match="not both"):
        plan_sweep(
            *(model.card, _volume(0), {"dna": _volume(1)}, REQUEST), against_dense=True
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


def test_a_part_of_a_sweep_says_that_it_is_one(model):
    runs, results, _ = _sweep(model, (1, 2))
    baselines, _, _ = measure_baselines(runs[0])
    report = sweep_report([results[0][0]], runs, baselines, LoseAtMost(0.02))
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


def _prediction(seed, scale=3.0, shift=2.0):
    rng = np.random.default_rng(seed)
    values = (rng.normal(size=(2, 4, 9, 9)) * scale + shift).astype(np.float32)
    return Volume(values, "CZYX", CUBE, ("dna", "nucleolus"))


def test_a_constant_prediction_has_no_r2():
    constant = Volume(np.full((1, 3, 5, 5), 7.0, np.float32), "CZYX", CUBE, ("dna",))
    reference = DenseReference(constant)
    assert reference.scores(constant)["dna"]["r2"] is None


def test_masked_voxels_do_not_count():
    dense = _prediction(0)
    dense.array[:, 0] = np.nan
    reference = DenseReference(dense)
    scores = reference.scores(dense)["dna"]
    assert scores["r2"] == 1
    assert scores["r2_per_plane"][0] is None
