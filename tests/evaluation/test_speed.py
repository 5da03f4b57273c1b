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
from napari_sparsessp.networks.config import CONDITIONINGS, TOPOLOGIES

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


@pytest.fixture(scope="module")
def seen():
    """Progress of the rows of `result`."""
    return []


@pytest.fixture(scope="module")
def result(seen):
    """Three rows, really measured, with one between them whose process dies."""
    rows = [small("dodnet"), small("repmode"), small("tgnet")]
    rows += [small("multihead", outputs=1)]
    ask = speed._ask

    def dying(job, threads, tick):
        if job["task"] == "patch" and job["network"]["conditioning"] == "tgnet":
            job = {**job, "repeats": "many"}
        return ask(job, threads, tick)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "_ask", dying)
        return list(measure_speed(rows, OPTIONS, lambda *now: seen.append(now)))


def test_each_row_comes_as_soon_as_it_is_measured(result):
    assert [entry["finished"] for entry in result] == [False, False, False, True]
    json.dumps(result[-1])


def test_a_row_has_its_cost_time_and_memory(result):
    dodnet, repmode, _, single = result[-1]["rows"]
    for row in (dodnet, repmode, single):
        assert "skipped" not in row
        assert row["parameters"] > 0
        assert row["gmac_one"] > 0
        assert row["seconds_one"] > 0
        assert row["peak_one_mib"] > 0
        assert row["base_mib"] > 50  # Python and torch themselves
    assert dodnet["times"] == dodnet["seconds_all"] / dodnet["seconds_one"]
    assert repmode["gmac_all"] == pytest.approx(3 * repmode["gmac_one"])
    assert repmode["seconds_merge"] > 0
    assert "seconds_all" not in single
    assert "seconds_merge" not in dodnet


def test_the_machine_is_written_down(result):
    machine = result[-1]["machine"]
    assert machine["cores"] >= 1
    assert machine["cpu"]
    assert isinstance(machine["bf16"], bool)
    assert machine["torch"]


def test_the_table_says_what_was_measured(result):
    text = speed_text(result[-1])
    assert "small repmode" in text
    assert "merge s" in text
    assert "32×16×16 patch at r = 2, fp32, on 1 of" in text
    assert "12 structures take at most 1.15 × one in" in text


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


def test_a_row_that_does_not_fit_is_left_out(monkeypatch, in_this_process):
    memory = SimpleNamespace(available=10 * 2**20, total=2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    (result,) = measure_speed([small("dodnet")], OPTIONS)
    (row,) = result["rows"]
    assert "10 MiB are free" in row["skipped"]
    assert "seconds_one" not in row
    assert "left out: needs about" in speed_text(result)


def test_the_guess_covers_what_was_needed(result):
    for row in (small("dodnet"), small("repmode")):
        entry = next(e for e in result[-1]["rows"] if e["name"] == row.name)
        used = entry["base_mib"] + entry["peak_all_mib"]
        assert patch_mib(row, entry["parameters"], OPTIONS.size) > used


def test_a_backbone_needs_its_library(monkeypatch, in_this_process):
    monkeypatch.setattr(speed, "find_spec", lambda _: None)
    row = SpeedRow("swin", NetworkConfig(backbone="swin_b", tiny=True))
    (result,) = measure_speed([row], OPTIONS)
    assert result["rows"][0]["skipped"] == "needs the transformers library"
    assert "left out: needs the transformers library" in speed_text(result)


def test_what_cannot_be_counted_says_why():
    with pytest.raises(InputError, match="cannot count .*multiples of 2"):
        list(measure_speed([small("dodnet")], SpeedOptions(size=(15, 15))))


def test_a_row_whose_process_dies_does_not_end_the_others(result):
    *_, dead, alive = result[-1]["rows"]
    assert "Error" in dead["skipped"]
    assert alive["seconds_one"] > 0


def test_an_interrupt_ends_the_process_that_measures():
    before = {child.pid for child in psutil.Process().children()}

    def interrupt(done, total, what):
        if "counting" not in what:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(measure_speed([small("dodnet")], OPTIONS, interrupt))
    assert {child.pid for child in psutil.Process().children()} <= before


def test_progress_names_the_row_and_the_share_of_all(result, seen):
    shares = [done / total for done, total, _ in seen]
    assert shares == sorted(shares)
    assert 0 < shares[-1] < 1
    assert seen[0][2].startswith("counting")
    assert seen[-1][2].startswith("small multihead (4 of 4), ")
