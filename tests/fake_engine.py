"""An engine without a network, fast and predictable, with the real plan and events."""

import time
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.models.importing.answers import CheckpointInfo, Question
from napari_sparsessp.prediction.engine import (
    Finished,
    PartDone,
    Planned,
    PredictionCancelled,
    Started,
    StructureDone,
    TileDone,
)
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.ui.engine import Speed


def card(**changes):
    """A card as the shipped model's."""
    fields = {
        "id": "colony-3to2d",
        "version": "0.1",
        "name": "Colony",
        "licence": "BSD-3-Clause",
        "structures": tuple(CATALOGUE),
        "topology": "3to2d",
        "mapping": "prefix",
        "conditioning": "multihead",
        "network": {},
        "voxel_size": (0.29, 0.29, 0.29),
        "patch": (32, 128, 128),
        "ratios": (1, 2, 4, 8),
        "modality": "bright-field",
        "normalisation": "z-score",
        "trained_on": "simulated colonies",
        "limits": ("Trained on simulated cells only.",),
    }
    return ModelCard(**{**fields, **changes})


@dataclass
class FakeEngine:
    """Fills the buffer tile by tile with something that can be recognised.

    `value` of a voxel is 1 + the structure's number, unless `paint` gives a function
    (plan, structure id, box) -> array. After `wait_at` tiles it waits to be cancelled.
    """

    the_cards: list = field(default_factory=lambda: [card()])
    pause: float = 0.001
    tile: int = 64
    fail_at: int | None = None
    wait_at: int | None = None
    error: Exception = field(default_factory=lambda: RuntimeError("CUDA out of memory"))
    paint: object = None
    seen: list = field(default_factory=list)
    closed: int = 0
    found: object = None
    places: dict = field(default_factory=dict)
    imported: list = field(default_factory=list)
    hold: object = None
    topology: str = "3d"
    computed: list = field(default_factory=list)
    doubts: tuple = ()
    planned: int = 0
    ran: list = field(default_factory=list)
    loaded: bool = False

    def load_libraries(self):
        """It has none."""

    def new_writer(self, buffer):
        """What a resumed run is given: here the (time, box) that are done."""
        return SimpleNamespace(buffer=buffer, done=[])

    def preload(self, plan, progress):
        return Speed()

    def cards(self):
        return list(self.the_cards)

    def place(self, one):
        return self.places.get(one.id)

    def forget(self):
        self.loaded = False

    def inspect(self, path):
        """Give `found`, or raise it; waits for `hold` where there is one."""
        if self.hold is not None:
            self.hold.wait(10)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def name_for(self, path, found):
        return path.stem

    def bring_in(self, path, given_found, given, progress):
        """Make a card of the answers; raises `error` where the id is ``bad``."""
        for step in range(5):
            progress(step, 5, "checking weights")
            if self.hold is not None:
                self.hold.wait(10)
        if given["id"] == "bad":
            raise self.error
        self.imported.append((path, given_found, dict(given)))
        known = {"structures": given_found.structures, "ratios": (given_found.ratio,)}
        fields = {**known, **given}
        fields.pop("scaling", None)
        self.the_cards.append(card(topology=self.topology, **fields))
        return given["id"]

    def plan(self, one, volume, request, truth):
        self.planned += 1
        return plan_prediction(one, volume, request, truth=dict(truth))

    def devices(self):
        return [
            SimpleNamespace(
                id="cpu", label="CPU (2 threads)", available=True, reason=""
            ),
            SimpleNamespace(
                id="cuda", label="GPU (CUDA)", available=False, reason="no GPU here"
            ),
        ]

    def boxes(self, shape):
        def cuts(length):
            return [
                slice(i, min(i + self.tile, length))
                for i in range(0, length, self.tile)
            ]

        depth, height, width = shape
        return list(product([slice(0, depth)], cuts(height), cuts(width)))

    def stream(self, plan, writer, viewport, part, cancel):
        kept = writer.done
        self.ran.append(plan)
        try:
            yield Planned(plan, writer.buffer)
            yield Started("cpu", "fp32", self.doubts)
            boxes = self.boxes(plan.output_shape[-3:])
            times = range(len(plan.times)) if plan.times else [None]
            total = len(boxes) * len(times)
            done = len(kept)
            for time_ in times:
                for box in boxes:
                    if (time_, box) in kept or not self._asked(part, time_, box):
                        continue
                    if done == self.wait_at:
                        cancel.wait(20)
                    if cancel.is_set():
                        yield PredictionCancelled(done, total)
                        return
                    if done == self.fail_at:
                        raise self.error
                    time.sleep(self.pause)
                    self.seen.append(viewport())
                    self._fill(writer.buffer, plan, time_, box)
                    self.computed.append((time_, box))
                    kept.append((time_, box))
                    done += 1
                    left, scores = (total - done) * self.pause, self._scores(plan)
                    ids = plan.structures
                    yield TileDone(done, total, time_, box, ids, left, scores)
                for id_ in plan.structures:
                    yield StructureDone(id_, time_)
            if done < total:
                yield PartDone(done, total)
                return
            yield Finished(self._report(plan))
        finally:
            self.closed += 1

    def _asked(self, part, time_, box):
        return part is None or (
            part[0] == time_
            and all(
                one.start < own.stop and own.start < one.stop
                for one, own in zip(part[1], box, strict=True)
            )
        )

    def _fill(self, buffer, plan, time_, box):
        block = buffer if time_ is None else buffer[time_]
        for number, id_ in enumerate(plan.channels):
            value = 1 + number
            if self.paint is not None:
                value = self.paint(plan, id_, box)
            block[(number, *box)] = value

    def _scores(self, plan):
        return {id_: {"r2": 0.5, "pcc": 0.7} for id_ in plan.truth}

    def _report(self, plan):
        scores = {id_: {} for id_ in plan.structures}
        scores |= self._scores(plan)
        return SimpleNamespace(
            structures=scores,
            seconds=SimpleNamespace(load=0.5, total=1.0),
            warnings=(*plan.warnings, *self.doubts),
            unfamiliar=self.doubts,
            provenance=lambda: {
                "model": {"id": plan.card.id, "sha256": "0" * 64},
                "unfamiliar": list(self.doubts),
            },
        )


def found(path="best.pth", **changes):
    """What the importers find in a checkpoint: RepMode's with everything asked."""
    fields = {
        "format": "RepMode",
        "network": {"topology": "3d", "conditioning": "repmode"},
        "outputs": 2,
        "structures": None,
        "ratio": None,
        "parameters": 123_877_633,
        "notes": ("3D U-Net with 4 levels",),
        "questions": (
            Question("structures"),
            Question("ratio"),
            Question("voxel_size", (0.29, 0.29, 0.29), True, "as published"),
            Question("scaling", "zscore", True, "as published"),
        ),
    }
    return CheckpointInfo(path=Path(path), **{**fields, **changes})


def light(planes=8, height=96, width=128, dtype=np.uint16, seed=0):
    """A transmitted-light stack of noise."""
    rng = np.random.default_rng(seed)
    return rng.integers(900, 1100, (planes, height, width)).astype(dtype)


MICRO = {"scale": (1.16, 0.29, 0.29), "units": ("um",) * 3}
