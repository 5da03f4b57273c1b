"""Quality of models: the same fields for all, means, what is told and kept."""

import numpy as np
import pytest

from napari_sparsessp import PredictionRequest, load_model, metrics, predict
from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.quality import (
    REAL,
    SIMULATED,
    Field,
    FieldSource,
    QualityOptions,
    colony_sources,
    measure_quality,
    parse_pair,
    quality_report,
    simulated_field,
)
from napari_sparsessp.metrics import improvement
from napari_sparsessp.prediction.report import ModelId
from napari_sparsessp.volume import Volume
from thin import save_random, thin_network

CUBE = (0.29, 0.29, 0.29)
REQUEST = PredictionRequest(device="cpu", precision="fp32")


def _model(folder, name, structures=("dna", "golgi_apparatus"), seed=0):
    config = thin_network(outputs=len(structures))
    path = folder / f"{name}.safetensors"
    return load_model(save_random(path, config, seed, structures=structures))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two models with random weights; the second knows one structure."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "both": _model(folder, "both"),
        "dna-only": _model(folder, "dna-only", ("dna",), seed=1),
    }


def _stack(seed):
    rng = np.random.default_rng(seed)
    return Volume(rng.random((8, 40, 40), np.float32), "ZYX", CUBE, name=f"{seed}")


def _source(seed, structures=("dna", "golgi_apparatus"), group=REAL):
    def make():
        truth = {name: _stack(10 * seed + k) for k, name in enumerate(structures, 1)}
        return Field(f"field {seed}", group, _stack(seed), truth, group == SIMULATED)

    return FieldSource(f"field {seed}", group, make)


def _options(ratios=(1, 4), **more):
    return QualityOptions(
        colonies=2, first_seed=0, shape=(8, 40, 40), photons=0, ratios=ratios, **more
    )


def _ids(models):
    return {name: ModelId(id=name, sha256=one.sha256) for name, one in models.items()}


@pytest.fixture(scope="module")
def measured(models):
    """Two real fields and a simulated one at r = 1 and 4, and their progress."""
    sources, seen = [_source(1), _source(2, ("dna",)), _source(3, group=SIMULATED)], []

    def progress(done, total, what):
        seen.append((done / total, what.partition(":")[0]))

    fields = list(measure_quality(models, sources, (1, 4), REQUEST, progress))
    return fields, seen


def test_scores_are_those_of_predict_on_the_structures_that_a_model_knows(
    models, measured
):
    first = measured[0][0]
    field = _source(1).open()
    request = REQUEST.model_copy(update={"simulate_sparse": True, "ratio": 4.0})
    alone = predict(models["both"], field.light, request=request, truth=field.truth)
    for name, scores in alone.report.structures.items():
        mine = first.models["both"][4][name]
        for key in ("r2", "mse", "mae", "ssim"):
            assert scores[key] == mine[key]
    assert set(first.models["both"][1]) == {"dna", "golgi_apparatus"}
    assert set(first.models["dna-only"][1]) == {"dna"}
    assert set(first.baselines.trivial) == {"dna", "golgi_apparatus"}


def test_progress_counts_the_fields(measured):
    shares = [share for share, _ in measured[1]]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert 2 / 3 < shares[-1] < 1
    assert {name for _, name in measured[1]} == {"field 1", "field 2", "field 3"}


def test_a_field_that_no_model_knows_is_refused(models):
    with pytest.raises(InputError, match="no model predicts any .* map2; give another"):
        list(measure_quality(models, [_source(1, ("map2",))], (1,), REQUEST))


def test_means_are_taken_within_groups(models, measured):
    fields = measured[0]
    report = quality_report(fields, _ids(models), _options(), True)
    counts = {name: one.fields for name, one in report.groups.items()}
    assert counts == {"simulated": 1, "real": 2}
    row = report.groups["real"].models["both"][4]
    dna = [one.models["both"][4]["dna"]["r2"] for one in fields[:2]]
    golgi = fields[0].models["both"][4]["golgi_apparatus"]["r2"]
    assert row.structures["dna"]["r2"] == pytest.approx(np.mean(dna))
    assert row.means["over_images"]["r2"] == pytest.approx(np.mean([*dna, golgi]))
    by_structure = np.mean([np.mean(dna), golgi])
    assert row.means["over_structures"]["r2"] == pytest.approx(by_structure)


@pytest.mark.parametrize("base", [None, "dna-only"])
def test_improvement_is_against_the_base_at_its_smallest_ratio(models, measured, base):
    report = quality_report(measured[0][1:2], _ids(models), _options(base=base), True)
    rows = report.groups["real"].models
    first = rows[base or "both"][1].means["over_images"]["mse"]
    row = rows["both"][4]
    wanted = improvement(first, row.means["over_images"]["mse"], "mse")
    assert row.delta_imp["mse"] == pytest.approx(wanted)
    assert row.delta_imp["r2"] is None, "R² of random weights is below 0"


def test_a_card_tells_scores_beside_what_they_are_read_by(models, measured):
    *_, noisy, clean = measured[0]
    assert clean.baselines.ceiling["dna"]["r2"] == 1
    assert noisy.baselines.ceiling["dna"]["r2"] < 0.2, "it is nothing but noise"
    card = quality_report([noisy, clean], _ids(models), _options(), True).cards
    simulated, real = card["dna-only"].values()
    assert list(card["dna-only"]) == [
        "1 held-out simulated colonies",
        "dna of 1 real pair(s)",
    ]
    assert set(simulated["r2_at_4"]) == {"dna", "mean"}
    assert simulated["r2_at_4"]["mean"] == simulated["r2_at_4"]["dna"]
    assert "r2_of_plane_mean" in simulated
    assert {"at_1", "at_4", "of_smoothness", "of_ceiling"} <= set(real)
    assert set(real["at_1"]) == {"pcc_plane", "pcc", "r2"}


def test_colonies_are_noisy_in_light_and_clean_in_truth():
    shape = (8, 32, 32)
    (source,) = colony_sources(1, 7, shape)
    one, clean = source.open(), simulated_field(7, shape, photons=0)
    again = simulated_field(7, shape)
    assert np.array_equal(one.light.numpy(), again.light.numpy())
    noise = one.light.numpy() - clean.light.numpy()
    # Photons of 20 000 at the bright end: shot noise of some 0.7 % of the light.
    assert 0.003 < noise.std() < 0.012
    assert set(one.truth) == set(clean.truth)
    for name, truth in one.truth.items():
        assert np.array_equal(truth.numpy(), clean.truth[name].numpy())
        assert metrics.score(truth.numpy(), truth.numpy())["pcc"] == pytest.approx(1)


def test_a_pair_is_read_from_its_end():
    path = "C:/data/cells.ome.tif"
    assert parse_pair(f"{path}:Bright-field:1:dna") == (path, "Bright-field", 1, "dna")
    with pytest.raises(InputError, match="FILE:SIGNAL:TARGET:STRUCTURE"):
        parse_pair("cells.ome.tif:0:1")
