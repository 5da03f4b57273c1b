"""Planes as small pictures for a page: light, truth, prediction and error, by z."""

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_sparsessp.resampling import resample_yx
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.volume import Volume

BUDGET = 40_000_000
"""Pixels on one page, some 10 MB; more planes than fit are left out evenly."""

FEWEST_PLANES = 12

CONTRAST = (1.0, 99.7)
"""Percentiles of the whole stack that become black and full colour."""

ERROR_LIMIT = 2.0
"""Standard deviations of the truth at which the error map is fully coloured."""

TOO_LOW, TOO_HIGH = (38, 110, 210), (214, 72, 32)
"""Blue and orange: told apart by colour-blind eyes."""


@dataclass(frozen=True)
class Window:
    """What becomes black and what full colour, in deviations of the truth."""

    low: float
    high: float


@dataclass(eq=False)
class Gallery:
    """Collects the pictures of a sweep; keeps no volume.

    Attributes
    ----------
    light : ndarray
        (D, H, W), the transmitted light.
    truth : mapping
        Structure id to its z-scored truth, (D, H, W) on the same grid; planes may be
        NaN.
    ratios : int
        How many predictions will come.
    planes : list of int
        Those that are shown.
    pictures : dict
        (kind, structure, ratio) to one data URI a plane; kinds are ``light``,
        ``truth``, ``same`` (prediction with the truth's contrast), ``own`` (with its
        own) and ``error``.
    windows : dict
        Structure id to the contrast of its truth.
    """

    light: np.ndarray
    truth: Mapping[str, np.ndarray]
    ratios: int
    planes: list[int] = field(init=False)
    pictures: dict[tuple[str, str, int], list[str]] = field(init=False)
    windows: dict[str, Window] = field(init=False)

    def __post_init__(self) -> None:
        """Choose planes and size, and draw what does not depend on a ratio."""
        depth, height, width = self.light.shape
        stacks = 1 + len(self.truth) * (1 + 3 * self.ratios)
        fitting = BUDGET // (stacks * height * width)
        count = min(depth, max(FEWEST_PLANES, fitting))
        self.planes = sorted({round(z) for z in np.linspace(0, depth - 1, count)})
        self._shrink = min(1.0, (fitting / count) ** 0.5)
        self.pictures = {}
        self.windows = {}
        window = _window(self.light)
        self.pictures["light", "", 0] = [
            self._coloured(self.light[z], window, (255, 255, 255)) for z in self.planes
        ]
        for name, stack in self.truth.items():
            window = self.windows[name] = _window(stack)
            self.pictures["truth", name, 0] = [
                self._coloured(stack[z], window, _rgb(name)) for z in self.planes
            ]

    def let_go(self) -> None:
        """Keep the pictures and the shape, not the volumes; nothing can be added."""
        self.light = np.broadcast_to(np.float32(0), self.light.shape)
        self.truth = {}

    def add(
        self, ratio: int, prediction: Volume, check: Callable[[], None] = lambda: None
    ) -> None:
        """Draw a prediction.

        Parameters
        ----------
        ratio : int
        prediction : Volume
            CZYX, a channel for each structure, on the grid of the truth.
        check : callable
            Called before each stack of pictures; what it raises stops the drawing.
        """
        for name, truth in self.truth.items():
            predicted = prediction.channel(name).numpy()
            own = _window(predicted)
            for kind, window in (("same", self.windows[name]), ("own", own)):
                check()
                self.pictures[kind, name, ratio] = [
                    self._coloured(predicted[z], window, _rgb(name))
                    for z in self.planes
                ]
            check()
            self.pictures["error", name, ratio] = [
                self._error(predicted[z] - truth[z]) for z in self.planes
            ]

    def _coloured(
        self, plane: np.ndarray, window: Window, full: tuple[int, ...]
    ) -> str:
        share = (self._sized(plane) - window.low) / (window.high - window.low)
        share = np.clip(np.nan_to_num(share), 0, 1)
        return _uri(share[..., None] * np.array(full))

    def _error(self, error: np.ndarray) -> str:
        share = np.clip(np.nan_to_num(self._sized(error)) / ERROR_LIMIT, -1, 1)
        side = np.where(share[..., None] < 0, TOO_LOW, TOO_HIGH)
        return _uri(255 + np.abs(share)[..., None] * (side - 255.0))

    def _sized(self, plane: np.ndarray) -> np.ndarray:
        if self._shrink == 1.0:
            return plane
        size = tuple(max(1, round(extent * self._shrink)) for extent in plane.shape)
        steps = tuple(
            extent / now for extent, now in zip(plane.shape, size, strict=True)
        )
        return resample_yx(plane[None], (1.0, 1.0), steps, size)[0]


def _window(stack: np.ndarray) -> Window:
    finite = stack[np.isfinite(stack)]
    sample = finite[:: max(1, finite.size // 1_000_000)]
    low, high = np.percentile(sample, CONTRAST) if sample.size else (0.0, 1.0)
    return Window(float(low), float(max(high, low + 1e-6)))


def _rgb(structure: str) -> tuple[int, ...]:
    colour = structure_or_custom(structure).colour
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def _uri(colours: Any) -> str:
    """Encode an (H, W, 3) picture so that it travels inside the page."""
    from PIL import Image, features

    # Browsers since 2020 read WebP, at a quarter of PNG's size.
    kind = "webp" if features.check("webp") else "png"
    options = {"quality": 85} if kind == "webp" else {"optimize": True}
    content = io.BytesIO()
    picture = Image.fromarray(np.asarray(colours).round().astype(np.uint8), "RGB")
    picture.save(content, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"
