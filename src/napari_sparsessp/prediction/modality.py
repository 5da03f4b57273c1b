"""Read off a channel's name how it was recorded."""

import re
from collections.abc import Collection

_OTHER_LIGHT = {
    "quantitative phase": ("quantitative", "qpi", "phase3d", "phase2d"),
    "phase contrast": ("phase", "ph1", "ph2", "ph3"),
    "DIC": ("dic", "nomarski", "dicii"),
    "fluorescence": ("fluorescence", "dapi", "hoechst", "gfp", "fitc", "cy3", "cy5",
                     "tritc", "rfp", "mcherry", "dna"),
    "bright-field": ("brightfield", "bright", "bf"),
}  # fmt: skip
"""Words of a channel's name that say how it was recorded."""


def light_named(name: str) -> str:
    """Return how a channel was recorded, by its name; "" where that does not say."""
    words = set(re.findall("[a-z0-9]+", name.lower().replace("-", "")))
    lights = (light for light, known in _OTHER_LIGHT.items() if words & set(known))
    return next(lights, "")


def is_same_light(light: str, modalities: Collection[str]) -> bool:
    """Return whether a channel's light is among those that a model was made for.

    A channel called phase may hold quantitative phase as well.
    """
    lights = {light, "quantitative phase"} if light == "phase contrast" else {light}
    return bool(lights.intersection(modalities))
