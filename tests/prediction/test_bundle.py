"""A bundle predicts what its members predict, one at a time, as one run."""

import threading
import weakref

import numpy as np
import pytest

from bundled import make, save_members
from napari_sparsessp.errors import InputError, ModelError
from napari_sparsessp.io.streaming import PredictionWriter
from napari_sparsessp.models.bundle import make_bundle
from napari_sparsessp.models.card import Range
from napari_sparsessp.models.library import Bundle, load_model
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.prediction.domain_shift import check
from napari_sparsessp.prediction.engine import (
    ArrayWriter,
    Finished,
    Looking,
    PartDone,
    Planned,
    PredictionCancelled,
    Started,
    StructureDone,
    TileDone,
    predict,
    predict_stream,
)
from napari_sparsessp.prediction.plan import fit_to_machine, plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from stored import store, voxels
from thin import save_random, thin_network

FP32 = PredictionRequest(precision="fp32", device="cpu", tile=(8, 16, 16))
# Not in the order of members, so that their channels lie apart.
MIXED = ("dna", "mitochondria", "tight_junction", "nucleolus")


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """A bundle of three, of four structures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARSESSP_MODELS", str(tmp_path_factory.mktemp("models")))
        return load_model(make(tmp_path_factory.mktemp("members")))


def members_of(bundle):
    return [bundle.member(card.id) for card in bundle.card.members]


def run(model, volume, writer=None, request=FP32, stop_at=None, **how):
    """Predict until so many tiles are done; give the events."""
    cancel, events = threading.Event(), []
    for event in predict_stream(
        model, volume, request=request, writer=writer, cancel=cancel, **how
    ):
        events.append(event)
        if isinstance(event, TileDone) and event.done == stop_at:
            cancel.set()
    return events


@pytest.mark.parametrize("more", [{"uncertainty": True}, {"grid": "input"}, {}])
def test_its_numbers_are_those_of_each_member_alone(several, make_volume, more):
    volume = make_volume((2, 12, 18, 20), "TZYX", voxel=(0.29, 0.29, 0.33))
    truth = {"nucleolus": make_volume((12, 18, 20), voxel=(0.29, 0.29, 0.33))}
    request = FP32.model_copy(update=more)
    whole = predict(several, volume, structures=MIXED, request=request, truth=truth)
    spread = [f"{name}_std" for name in MIXED] if "uncertainty" in more else []
    assert list(whole) == [*MIXED, *spread]
    for member in members_of(several):
        its = {k: one for k, one in truth.items() if k in member.card.structures}
        alone = predict(member, volume, request=request, truth=its)
        for name in alone:
            np.testing.assert_array_equal(whole[name].array, alone[name].array)
        for name, scores in alone.report.structures.items():
            assert whole.report.structures[name] == scores


def test_networks_that_look_at_the_whole_stack_look_once_for_each_member(
    tmp_path, make_volume, own_models_folder
):
    """As all twelve GVTNets do, in tiles and in a file."""
    widths = {"encoder_widths": (4, 8, 8), "decoder_widths": (4, 8)}
    config = NetworkConfig(backbone="gvt", outputs=1, encoder_blocks=(1,) * 3, **widths)
    paths = [
        save_random(tmp_path / f"{name}.safetensors", config, structures=(name,))
        for name in ("dna", "nucleolus")
    ]
    model, volume = (
        load_model(make_bundle("gvt", "GVT", paths)),
        make_volume((8, 30, 20)),
    )
    events = run(model, volume)
    tiles = sum(isinstance(event, TileDone) for event in events)
    assert sum(isinstance(event, Looking) for event in events) >= tiles > 2
    whole = predict(model, volume, request=FP32).volume.array
    store(model, volume, tmp_path / "out.ome.zarr", FP32, tiles // 2)
    store(model, volume, tmp_path / "out.ome.zarr", FP32, resume=True)
    np.testing.assert_array_equal(voxels(tmp_path / "out.ome.zarr"), whole)
    for number, path in enumerate(paths):
        alone = predict(load_model(path), volume, request=FP32).volume.array
        np.testing.assert_array_equal(whole[number], alone[0])


def test_it_is_one_run_with_one_report(several, make_volume):
    events = run(several, make_volume((8, 16, 20)))
    planned, started, *middle, finished = events
    assert isinstance(planned, Planned)
    assert isinstance(started, Started)
    assert planned.buffer.shape == (4, 8, 16, 20)
    tiles = [event for event in middle if isinstance(event, TileDone)]
    assert [event.done for event in tiles] == list(range(1, len(tiles) + 1))
    assert (
        {event.total for event in tiles} == {len(tiles)} == {planned.plan.total_tiles}
    )
    left = [event.seconds_left for event in tiles]
    assert min(left[:-1]) > 0 == left[-1]
    done = [event.structure for event in middle if isinstance(event, StructureDone)]
    assert done == list(several.card.structures)
    assert len(middle) == len(tiles) + len(done)
    report = finished.report
    assert (report.model.id, report.model.sha256) == ("several", several.sha256)
    assert [(one.id, one.sha256) for one in report.members] == [
        (card.id, digest)
        for card, digest in zip(several.card.members, several.digests, strict=True)
    ]
    assert report.members[0].structures == ("dna", "tight_junction")
    assert report.request.structures == "all"
    assert report.shape.output == (4, 8, 16, 20)
    assert report.tiles == len(tiles)
    assert report.provenance()["members"][2]["id"] == "thin-2"


@pytest.fixture
def living(monkeypatch):
    """Networks that were loaded: weak references, and the most alive at any tile."""
    loaded, load = [], Bundle.member

    def member(self, id_):
        model = load(self, id_)
        loaded.append(weakref.ref(model.network))
        return model

    monkeypatch.setattr(Bundle, "member", member)
    return loaded


def alive(loaded):
    """Without a collection of garbage, for which nobody waits."""
    return sum(one() is not None for one in loaded)


def test_members_are_loaded_one_at_a_time_and_let_go(several, make_volume, living):
    most = 0
    for _ in predict_stream(several, make_volume((8, 16, 16)), request=FP32):
        most = max(most, alive(living))
    assert (most, len(living), alive(living)) == (1, 3, 0)


def test_only_members_whose_structures_are_asked_for_are_loaded(
    several, make_volume, living
):
    report = predict(
        several, make_volume((8, 16, 16)), structures=["nucleolus"], request=FP32
    ).report
    assert len(living) == 1
    assert [one.id for one in report.members] == ["thin-2"]


@pytest.mark.parametrize("end", ["cancelled", "closed"])
def test_nothing_is_alive_of_a_run_that_ends_early(several, make_volume, living, end):
    cancel = threading.Event()
    stream = predict_stream(
        several, make_volume((8, 32, 32)), request=FP32, cancel=cancel
    )
    for event in stream:
        if isinstance(event, TileDone) and event.structures == ("mitochondria",):
            if end == "closed":
                break
            cancel.set()
    stream.close()
    assert (len(living), alive(living)) == (2, 0)


@pytest.mark.parametrize("stops", [[1, 5], [4], [6]])
def test_cancelled_and_resumed_changes_no_bit(several, make_volume, living, stops):
    """Within a member and between two; members that are done are not loaded again."""
    volume, truth = make_volume((8, 32, 16)), {"dna": make_volume((8, 32, 16))}
    whole = predict(several, volume, request=FP32, truth=truth)
    total, writer = whole.report.tiles, ArrayWriter()
    for stop in stops:
        last = run(several, volume, writer, stop_at=stop, truth=truth)[-1]
        if stop < total:
            assert last == PredictionCancelled(stop, total)
    del living[:]
    events = run(several, volume, writer, truth=truth)
    np.testing.assert_array_equal(writer.buffer, whole.volume.array)
    assert events[-1].report.structures == whole.report.structures
    assert events[-1].report.members == whole.report.members
    assert len(living) == len(whole.report.members) - max(stops) * 3 // total
    tiles = [event.done for event in events if isinstance(event, TileDone)]
    assert tiles == list(range(max(stops) + 1, total + 1))


@pytest.mark.parametrize(
    ("name", "after", "more"),
    [("out.ome.zarr", 1, {}), ("out.ome.tif", 3, {"uncertainty": True})],
)
def test_a_file_is_resumed_member_by_member(
    several, make_volume, tmp_path, name, after, more
):
    volume = make_volume((2, 8, 20, 16), "TZYX")
    how = {"structures": MIXED, **more}
    request = FP32.model_copy(update=how)
    whole = predict(several, volume, request=request)
    total = whole.report.tiles
    stop = total * after // 4
    last = store(several, volume, tmp_path / name, request, stop)[-1]
    assert last == PredictionCancelled(last.done, total)
    assert 0 < last.done <= stop
    other = request.model_copy(update={"structures": MIXED[:3]})
    with pytest.raises(Exception, match="structures is different"):
        store(several, volume, tmp_path / name, other, resume=True)
    events = store(several, volume, tmp_path / name, request, resume=True)
    assert next(e.done for e in events if isinstance(e, Started)) == last.done
    np.testing.assert_array_equal(voxels(tmp_path / name), whole.volume.array)
    assert events[-1].report.normalisation == whole.report.normalisation


def test_members_of_other_networks_are_stored_together(
    tmp_path, make_volume, own_models_folder
):
    """Whose columns of tiles end at other places, one cross-fading with the next."""
    first = save_random(tmp_path / "a.safetensors", thin_network(outputs=1))
    second = save_random(
        tmp_path / "b.safetensors",
        thin_network(
            outputs=1,
            backbone="dod",
            conditioning="dodnet",
            decoder_widths=(4,),
            groups=4,
        ),
        structures=("nucleolus",),
    )
    model = load_model(make_bundle("mix", "Mix", [first, second]))
    volume, request = (
        make_volume((8, 20, 50)),
        FP32.model_copy(update={"tile": (8, 24, 24)}),
    )
    ends = [
        part.layout.columns[0].output
        for part in plan_prediction(model.card, volume, request).parts
    ]
    assert ends[0] != ends[1]
    last = store(model, volume, tmp_path / "out.ome.zarr", request, 5)[-1]
    assert isinstance(last, PredictionCancelled)
    store(model, volume, tmp_path / "out.ome.zarr", request, resume=True)
    whole = predict(model, volume, request=request).volume.array
    np.testing.assert_allclose(voxels(tmp_path / "out.ome.zarr"), whole, atol=1e-5)


def test_a_part_is_predicted_of_every_member_and_the_rest_can_follow(
    several, make_volume
):
    volume, writer = make_volume((8, 64, 32)), ArrayWriter()
    whole = predict(several, volume, request=FP32).volume.array
    box = (slice(0, 8), slice(0, 9), slice(0, 9))
    events = run(several, volume, writer, part=(None, box))
    assert isinstance(events[-1], PartDone)
    inside = (slice(None), *box)
    np.testing.assert_allclose(writer.buffer[inside], whole[inside], atol=1e-6)
    shown = {event.structures for event in events if isinstance(event, TileDone)}
    assert len(shown) == 3
    assert isinstance(run(several, volume, writer)[-1], Finished)
    np.testing.assert_allclose(writer.buffer, whole, atol=1e-6)


def test_other_work_does_not_go_on_with_it(several, make_volume):
    volume, writer = make_volume((8, 32, 16)), ArrayWriter()
    run(several, volume, writer, stop_at=1)
    with pytest.raises(InputError, match="start over"):
        run(several, volume, writer, structures=["dna"])


def test_a_plan_sums_tiles_and_takes_the_memory_of_the_largest(several, make_volume):
    volume = make_volume((12, 40, 40))
    plan = plan_prediction(several.card, volume, FP32)
    alone = [plan_prediction(card, volume, FP32) for card in several.card.members]
    assert plan.total_tiles == sum(one.total_tiles for one in alone)
    assert plan.voxels == sum(one.voxels for one in alone)
    assert len(plan.tiles) == sum(len(one.tiles) for one in alone)
    beside = 4 * 3 * 12 * 40 * 40  # channels of others lie in memory as well
    assert plan.memory.planned <= max(one.memory.planned for one in alone) + beside
    assert plan.memory.planned > max(one.memory.planned for one in alone)
    stored = fit_to_machine(plan, stored=True)
    sizes = fit_to_machine(plan, stored=True, tile_size=stored.tile_sizes).tile_sizes
    assert sizes == stored.tile_sizes


def test_members_are_cut_alike_where_memory_lets_them_be_cut_differently(
    tmp_path, make_volume, own_models_folder
):
    wide = {"decoder_widths": (4, 8, 256)}
    paths = [
        save_random(tmp_path / "a.safetensors", thin_network(outputs=1, **wide)),
        *save_members(tmp_path, [("nucleolus",)]),
    ]
    card = load_model(make_bundle("two", "Two", paths)).card
    volume = make_volume((8, 1, 1)).with_(array=np.broadcast_to(0, (8, 900, 900)))
    request = FP32.model_copy(update={"tile": None})
    most = plan_prediction(card.members[0], volume, request).memory.planned
    request = request.model_copy(update={"memory_limit": most - 1})
    alone = [plan_prediction(one, volume, request) for one in card.members]
    assert len({one.tile_size.core for one in alone}) == 2
    plan = plan_prediction(card, volume, request)
    (core,) = {size.core for size in plan.tile_sizes}
    assert core <= min(one.tile_size.core for one in alone)


@pytest.mark.parametrize(
    ("name", "made_by"),
    [("DIC", "dic"), ("Bright-field", "bf"), ("TL", "bf"), ("phase", "bf")],
)
def test_of_two_modalities_the_channels_name_decides(
    tmp_path, make_volume, own_models_folder, name, made_by
):
    paths = [
        save_random(
            tmp_path / f"{id_}.safetensors",
            thin_network(outputs=1),
            seed=len(id_),
            modality=light,
        )
        for id_, light in (("bf", "bright-field"), ("dic", "DIC"))
    ]
    model = load_model(make_bundle("lights", "Lights", paths))
    volume = make_volume((1, 8, 16, 16), "CZYX", channel_names=(name,))
    report = predict(model, volume, request=FP32).report
    assert [(one.id, one.structures) for one in report.members] == [(made_by, ("dna",))]


def test_what_all_members_say_is_said_once_of_the_bundle(
    tmp_path, make_volume, own_models_folder
):
    never = {"skewness": (Range(low=98, high=99),)}
    paths = save_members(tmp_path, familiarity=never, ratios=(1,))
    paths += [
        save_random(
            tmp_path / "other.safetensors",
            thin_network(outputs=1),
            structures=("desmosome",),
            ratios=(4,),
        )
    ]
    model = load_model(make_bundle("all", "All", paths))
    volume = make_volume((4, 14, 14), voxel=(0.58, 0.7, 0.7))
    plan = plan_prediction(model.card, volume, FP32)
    far = [note for note in plan.warnings if "are far from" in note]
    assert len(far) == 1
    assert "model all was made for" in far[0]
    ratios = [note for note in plan.warnings if "trained for" in note]
    assert len(ratios) == 4
    assert "model other was" in ratios[-1]
    said = check(plan)
    events = run(model, volume)
    (started,) = [event for event in events if isinstance(event, Started)]
    assert started.warnings == events[-1].report.unfamiliar == said
    (unlike,) = (line for line in said if "training images of" in line)
    assert "training images of all " in unlike
    warnings = events[-1].report.warnings
    assert len(set(warnings)) == len(warnings)
    assert warnings[: len(plan.warnings)] == plan.warnings


def test_a_truth_that_no_member_predicts_is_refused_as_of_any_model(
    several, make_volume
):
    volume = make_volume((8, 16, 16))
    with pytest.raises(InputError, match="desmosome, which is not predicted"):
        predict(several, volume, request=FP32, truth={"desmosome": volume})
    with pytest.raises(InputError, match="several does not predict desmosome"):
        predict(several, volume, request=FP32, structures=["desmosome"])


def test_a_member_that_changes_on_the_way_ends_the_run_in_one_line(
    tmp_path, make_volume, own_models_folder
):
    folder = make(tmp_path / "members")
    model, writer = load_model(folder), ArrayWriter()
    names = {"id": "thin-1", "structures": ("mitochondria",)}
    one = folder / "thin-1.safetensors"
    save_random(one, thin_network(outputs=1), seed=9, **names)
    with pytest.raises(ModelError, match="thin-1 of bundle several has changed"):
        run(model, make_volume((8, 16, 16)), writer)
    assert writer.done > 0


def test_an_empty_file_is_not_left_where_nothing_was_done(
    several, make_volume, tmp_path
):
    cancel = threading.Event()
    cancel.set()
    with PredictionWriter(tmp_path / "out.ome.zarr") as sink:
        events = [
            *predict_stream(
                several,
                make_volume((8, 16, 16)),
                request=FP32,
                writer=sink,
                cancel=cancel,
            )
        ]
    assert isinstance(events[-1], PredictionCancelled)
    assert events[-1].done == 0
    assert [*tmp_path.iterdir()] == []
