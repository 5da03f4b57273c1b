"""How well a model fits a stack: by contrast, structures, planes and pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sparsessp.structures import match_channel, structure_or_custom
from napari_sparsessp.ui.layers.metadata import channel_part
from napari_sparsessp.ui.layers.reading import LayerReading

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard

# Pixels this much larger or smaller than the model's are still of its kind.
_ALIKE, _FAR = 1.5, 3.0


@dataclass(frozen=True)
class Fit:
    """Points for and against a model, and the reasons for it in words."""

    points: int = 0
    why: str = ""


def contrast_named(reading: LayerReading, channel: int | None = None) -> str:
    """Return the contrast that the name of a layer or its channel says, or ""."""
    from napari_sparsessp.prediction.modality import light_named

    names = reading.volume.channel_names
    chosen = names[channel] if names and channel is not None else ""
    named = channel_part(reading.volume.name)
    return light_named(chosen) or light_named(named)


def fit_of(
    card: "ModelCard",
    reading: LayerReading,
    channel: int | None = None,
    others: Sequence[str] = (),
) -> Fit:
    """Judge a model by a stack and the names of the other layers, its likely truths."""
    from napari_sparsessp.prediction.modality import is_same_light

    points, why = 0, []
    light = contrast_named(reading, channel)
    if light:
        alike = is_same_light(light, card.modalities)
        points += 2 if alike else -2
        why += [light] if alike else []
    names = [channel_part(name) for name in others]
    shown = [id_ for id_ in card.structures if match_channel(id_, names) is not None]
    if shown:
        points += 1 + (len(shown) == len(card.structures))
        why.append(", ".join(structure_or_custom(id_).label for id_ in shown[:3]))
    if card.ratios == (1.0,) and reading.volume.sizes["Z"] == card.patch[0]:
        points += 1
        why.append(f"{card.patch[0]} planes")
    if reading.volume.pixel_size is not None:
        pairs = zip(reading.volume.pixel_size, card.voxel_size[1:], strict=True)
        factor = max(max(have / want, want / have) for have, want in pairs)
        points += (factor <= _ALIKE) - (factor > _FAR)
        why += [f"pixels of {card.voxel_size[1]:g} µm"] if factor <= _ALIKE else []
    return Fit(points, ", ".join(why))
