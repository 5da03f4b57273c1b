"""The speed benchmark of a patch: its rows, and what each fresh process answers."""

import json
from types import SimpleNamespace

import psutil
import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation import speed
from napari_sparsessp.evaluation.speed import (
    QUICK,
    SpeedOptions,
    SpeedRow,
    choose_rows,
    measure_speed,
    patch_mib,
    speed_rows,
)
from napari_sparsessp.evaluation.speed_tables import speed_text, verdicts
from napari_sparsessp.evaluation.speed_worker import TASKS
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.networks.families import (
    CONDITIONINGS,
    TOPOLOGIES,
)

SMALL = {
    "backbone": "plain",
    "topology": "2d",
    "ratio": 2,
    "depth": 8,
    "outputs": 3,
    "encoder_widths": (4, 8),
    "decoder_widths": (4,),
}
OPTIONS = SpeedOptions(size=(16, 16), repeats=1)


def small(conditioning, **changes):
    """A row that takes no time."""
    config = NetworkConfig(**{**SMALL, "conditioning": conditioning, **changes})
    return SpeedRow(f"small {conditioning}", config)


def test_every_topology_and_conditioning_is_a_row():
    names = [row.name for row in speed_rows()]
    assert len(names) == len(set(names))
    for topology in TOPOLOGIES:
        for method in CONDITIONINGS:
            assert f"dod {topology} prefix {method}" in names
    assert set(QUICK) < set(names)


def test_rows_predict_twelve_structures_from_every_second_plane():
    """Dense planes only before a 3D encoder with a prefix mapping."""
    for row in speed_rows():
        if row.name == "slim":
            continue
        config = row.config
        assert config.outputs == (1 if config.backbone == "fnet" else 12)
        dense = config.encoder_3d and config.mapping == "prefix"
        assert config.planes == (32 if dense else 16)


def test_rows_are_chosen_by_their_words():
    names = [row.name for row in choose_rows(["dodnet 3to2d none", " slim "])]
    assert names == ["dod 3to2d none dodnet", "slim"]
    assert [row.name for row in choose_rows([], quick=True)] == sorted(
        QUICK, key=[row.name for row in speed_rows()].index
    )


@pytest.mark.parametrize("text", ["dodnet 4d", "", "  "])
def test_words_of_no_row_are_refused(text):
    with pytest.raises(InputError, match="choose among: .*dodnet"):
        choose_rows([text])


@pytest.mark.parametrize(
    ("conditioning", "topology", "bound"),
    [
        ("dodnet", "3d", 1.15),
        ("multihead", "2d", 1.15),
        ("tgnet", "3to2d", 2.0),
        ("tgnet", "2to3d", None),
        ("repmode", "3to2d", None),
        ("multinet", "3to2d", None),
    ],
)
def test_what_twelve_structures_may_cost(conditioning, topology, bound):
    config = NetworkConfig(backbone="dod", topology=topology, conditioning=conditioning)
    assert SpeedRow("row", config).bound == bound


def counted_here(ask):
    """Count in this process, which is sooner; `ask` for all else."""

    def answer(job, threads, tick):
        if job["task"] != "count":
            return ask(job, threads, tick)
        tick(0.0)
        return TASKS["count"](job)

    return answer


@pytest.fixture(scope="module")
def measured():
    """Results and progress of rows, really measured; of one the process dies."""
    rows = [small("dodnet"), small("repmode"), small("tgnet")]
    ask, seen = counted_here(speed._ask), []

    def dying(job, *more):
        if job.get("network", {}).get("conditioning") == "tgnet":
            job = {**job, "repeats": "many"}
        return ask(job, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "_ask", dying)
        results = list(measure_speed(rows, OPTIONS, lambda *now: seen.append(now)))
    return results, seen


def test_a_row_has_its_cost_time_and_memory(measured):
    results, seen = measured
    assert [entry["finished"] for entry in results] == [False, False, True]
    result = json.loads(json.dumps(results[-1]))
    dodnet, repmode, dead = result["rows"]
    for row in (dodnet, repmode):
        assert "skipped" not in row
        assert row["base_mib"] > 50  # Python and torch themselves
        for name in ("parameters", "gmac_one", "seconds_one", "peak_one_mib"):
            assert row[name] > 0
    assert dodnet["times"] == dodnet["seconds_all"] / dodnet["seconds_one"]
    assert repmode["gmac_all"] == pytest.approx(3 * repmode["gmac_one"])
    assert repmode["seconds_merge"] > 0
    assert "Error" in dead["skipped"]
    for row, entry in ((small("dodnet"), dodnet), (small("repmode"), repmode)):
        used = entry["base_mib"] + entry["peak_all_mib"]
        assert patch_mib(row, entry["parameters"], OPTIONS.size) > used
    machine = result["machine"]
    assert machine["cores"] >= 1
    assert machine["cpu"]
    assert machine["torch"]
    assert isinstance(machine["bf16"], bool)
    text = speed_text(result)
    assert "merge s" in text
    assert "32×16×16 patch at r = 2, fp32, on 1 of" in text
    assert "12 structures take at most 1.15 × one in" in text
    shares = [done / total for done, total, _ in seen]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 2 / 3), "only what was done counts"
    assert seen[0][2] == "counting"
    assert seen[-1][2].startswith("small tgnet (3 of 3), ")


def test_a_claim_names_the_rows_that_miss_it():
    entries = [
        {"name": "good", "bound": 1.15, "times": 1.1},
        {"name": "bad", "bound": 1.15, "times": 1.3},
        {"name": "left out", "bound": 2.0, "skipped": "no memory"},
    ]
    (line,) = verdicts({"rows": entries})
    assert line.endswith("at most 1.15 × one in 1 of 2 rows; bad takes 1.30 ×")


@pytest.fixture
def in_this_process(monkeypatch):
    """Count without a process, where only what follows matters."""
    monkeypatch.setattr(speed, "_ask", lambda job, *_: TASKS[job["task"]](job))


def test_a_row_that_cannot_be_measured_says_why(monkeypatch, in_this_process):
    memory = SimpleNamespace(available=10 * 2**20, total=2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(speed, "find_spec", lambda _: None)
    swin = SpeedRow("swin", NetworkConfig(backbone="swin_b", tiny=True))
    *_, result = measure_speed([small("dodnet"), swin], OPTIONS)
    text = speed_text(result)
    assert "left out: needs about" in text
    assert "10 MiB are free" in text
    assert "left out: needs the transformers library" in text
    assert not any("seconds_one" in row for row in result["rows"])


def test_a_network_of_one_structure_has_no_time_for_all(in_this_process):
    (result,) = measure_speed([small("multihead", outputs=1)], OPTIONS)
    (row,) = result["rows"]
    assert row["seconds_one"] > 0
    assert not {"seconds_all", "seconds_merge"} & set(row)


def test_what_takes_too_long_is_given_up(monkeypatch):
    """A benchmark once stood for nine minutes at a row that would not end."""
    monkeypatch.setattr(speed, "BOUND", -1.0)
    with pytest.raises(InputError, match="cannot count .*not done after"):
        list(measure_speed([small("dodnet")], OPTIONS))


def test_bf16_is_not_measured_where_it_is_emulated(monkeypatch, in_this_process):
    count = TASKS["count"]

    def without(job):
        answer = count(job)
        return answer | {"machine": answer["machine"] | {"bf16": False}}

    monkeypatch.setitem(TASKS, "count", without)
    options = SpeedOptions(size=(16, 16), precision="bf16")
    with pytest.raises(InputError, match="no bfloat16 .* --precision fp32"):
        list(measure_speed([small("dodnet")], options))


def test_what_cannot_be_counted_says_why():
    with pytest.raises(InputError, match="cannot count .*multiples of 2"):
        list(measure_speed([small("dodnet")], SpeedOptions(size=(15, 15))))


def test_an_interrupt_ends_the_process_that_measures(monkeypatch):
    monkeypatch.setattr(speed, "_ask", counted_here(speed._ask))
    before = {child.pid for child in psutil.Process().children()}

    def interrupt(done, total, what):
        if "counting" not in what:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(measure_speed([small("dodnet")], OPTIONS, interrupt))
    assert {child.pid for child in psutil.Process().children()} <= before
