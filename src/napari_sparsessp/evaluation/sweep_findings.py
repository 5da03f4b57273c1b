"""What a sweep has found so far, as its report and as its page at any moment."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sparsessp.evaluation.gallery import Gallery
from napari_sparsessp.evaluation.planes_needed import Rule
from napari_sparsessp.evaluation.sweep_report import (
    SweepReport,
    measure_yardsticks,
    sweep_report,
)

if TYPE_CHECKING:
    import numpy as np

    from napari_sparsessp.evaluation.sweep import PlannedRun, RatioResult
    from napari_sparsessp.volume import Volume


class SweepFindings:
    """Collects the ratios of a sweep as they come; keeps scores and small pictures.

    Reads the stack and its truths, and scores the yardsticks.

    Parameters
    ----------
    runs : sequence of PlannedRun
    pictures : bool
        Draw what the page shows.

    Raises
    ------
    InputError
        The stack or a truth is constant, or damaged.
    """

    def __init__(self, runs: "Sequence[PlannedRun]", pictures: bool) -> None:
        self.runs = tuple(runs)
        self.results: list[RatioResult] = []
        self.gallery: Gallery | None = None
        self._light: np.ndarray | None = None
        self._drawn = 0
        self.yardsticks, truth, light = measure_yardsticks(self.runs[0])
        if pictures and truth:
            self.gallery = Gallery(light, truth, self._count)
        elif pictures:
            self._light = light  # until the dense prediction is there

    @property
    def _count(self) -> int:
        return len({run.ratio for run in self.runs})

    @property
    def finished(self) -> bool:
        """Whether every ratio that was planned is there."""
        return len(self.results) == self._count

    @property
    def drawn(self) -> bool:
        """Whether every ratio that is there has its pictures."""
        return self.gallery is not None and self._drawn == len(self.results) > 0

    def add(self, result: "RatioResult", prediction: "Volume") -> None:
        """Take and draw what `run_sweep` gives; the first comes first."""
        self.take(result)
        self.draw(result.ratio, prediction)

    def take(self, result: "RatioResult") -> None:
        """Take the scores of a ratio."""
        self.results.append(result)

    def draw(
        self,
        ratio: int,
        prediction: "Volume",
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Draw a ratio whose scores were taken, where pictures were asked for.

        Parameters
        ----------
        ratio : int
        prediction : Volume
        check : callable
            Called every now and then; what it raises stops the drawing.
        """
        if self._light is not None:
            names = prediction.channel_names
            stacks = dict(zip(names, prediction.array, strict=True))
            self.gallery = Gallery(self._light, stacks, self._count)
            self._light = None
        if self.gallery is not None:
            self.gallery.add(ratio, prediction, check)
            self._drawn += 1
        if self.gallery is not None and self.finished:
            self.gallery.let_go()

    def report(self, rule: Rule | None = None) -> SweepReport:
        """Tell what is known; there is at least one result by then."""
        return sweep_report(self.results, self.runs, self.yardsticks, rule)

    def write_page(self, path: Path, rule: Rule | None = None) -> None:
        """Write the page of what is known; it needs pictures.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        from napari_sparsessp.evaluation.html_report import write_page

        assert self.gallery is not None, "no pictures were asked for"
        write_page(self.report(rule), self.gallery, path)
