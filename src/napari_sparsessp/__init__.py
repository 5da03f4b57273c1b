"""Virtual fluorescence from sparse transmitted-light z-stacks.

Everything here is loaded when it is first asked for, so that
``import napari_sparsessp``, opening a dock and ``sparsessp --help`` stay fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_sparsessp.version import __version__ as __version__

if TYPE_CHECKING:
    from napari_sparsessp import metrics as metrics
    from napari_sparsessp.io.reading import load_volume as load_volume
    from napari_sparsessp.models.card import ModelCard as ModelCard
    from napari_sparsessp.models.library import Model as Model
    from napari_sparsessp.models.library import list_models as list_models
    from napari_sparsessp.models.library import load_model as load_model
    from napari_sparsessp.models.library import save_model as save_model
    from napari_sparsessp.prediction.engine import predict as predict
    from napari_sparsessp.prediction.engine import predict_stream as predict_stream
    from napari_sparsessp.prediction.request import (
        PredictionRequest as PredictionRequest,
    )
    from napari_sparsessp.sparse import SparseView as SparseView
    from napari_sparsessp.volume import Volume as Volume

_HOMES = {
    "Model": "models.library",
    "ModelCard": "models.card",
    "PredictionRequest": "prediction.request",
    "SparseView": "sparse",
    "Volume": "volume",
    "list_models": "models.library",
    "load_model": "models.library",
    "load_volume": "io.reading",
    "predict": "prediction.engine",
    "predict_stream": "prediction.engine",
    "save_model": "models.library",
}

__all__ = [
    "Model",
    "ModelCard",
    "PredictionRequest",
    "SparseView",
    "Volume",
    "__version__",
    "list_models",
    "load_model",
    "load_volume",
    "metrics",
    "predict",
    "predict_stream",
    "save_model",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its home on first use (PEP 562)."""
    if name == "metrics":
        return import_module(f"{__name__}.metrics")
    if name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the lazy names too, for tab completion."""
    return sorted({*globals(), *__all__})
