"""What the fresh process measures of the field of view; see `speed_worker`.

Each task takes a job, a dict from JSON, and gives its answer as one.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from napari_sparsessp.evaluation.field_rows import cropped, window_corners
from napari_sparsessp.evaluation.resident import resident_mib


def engine(job: dict[str, Any]) -> dict[str, Any]:
    """Our model, end to end: a volume in memory goes in, all structures come out."""
    import torch

    from napari_sparsessp import load_model
    from napari_sparsessp.prediction.engine import predict
    from napari_sparsessp.prediction.request import PredictionRequest
    from napari_sparsessp.volume import Volume

    torch.set_num_threads(job["threads"])
    base = resident_mib("VmRSS")
    began = time.perf_counter()
    model = load_model(job["model"])
    loaded = time.perf_counter() - began
    stack = 100 * field(job["shape"]) + 1000
    volume = Volume(stack, "ZYX", voxel_size=model.card.voxel_size)
    request = PredictionRequest(
        ratio=1, device=job["device"], precision=job["precision"]
    )
    times, report = [], None
    for _ in range(1 + job["repeats"]):
        began = time.perf_counter()
        report = predict(model, volume, request=request).report
        times.append(time.perf_counter() - began)
    assert report is not None
    return {
        "model": report.model.id,
        "structures": report.shape.output[0],
        "seconds": min(times[1:]),
        "seconds_first": times[0],
        "seconds_load": loaded,
        "first_tile": report.seconds.first_tile,
        "repeats": job["repeats"],
        "pieces": report.tiles,
        "device": report.device,
        "precision": report.precision,
        "peak_mib": resident_mib("VmHWM") - base,
        **_device_peak(job["device"]),
    }


def windows(job: dict[str, Any]) -> dict[str, Any]:
    """A published network in a sliding window: some windows of one structure.

    Their weighted sum is kept for the whole volume, as the published code does.
    """
    import torch

    network, device, base = _network(job)
    stack = torch.from_numpy(field(job["shape"])).to(device)
    total, weights = torch.zeros_like(stack), torch.zeros_like(stack)
    importance = _importance(job["window"]).to(device)
    corners = window_corners(tuple(job["shape"]), tuple(job["window"]), job["overlap"])
    run, mix = _ways(network)
    times, mixing = [], []

    def predict(box: tuple[slice, ...]) -> None:
        total[box] += importance * run(stack[box])
        weights[box] += importance

    with torch.inference_mode():
        for corner in [corners[0], *corners[: job["windows"]]]:
            box = tuple(
                slice(a, a + n) for a, n in zip(corner, job["window"], strict=True)
            )
            mixing.append(timed(mix, device))
            times.append(timed(partial(predict, box), device))
    return {
        "measured": len(times) - 1,
        "seconds_piece": min(times[1:]),
        "seconds_merge": min(mixing[1:]),
        "peak_mib": resident_mib("VmHWM") - base,
        **_device_peak(job["device"]),
    }


def whole(job: dict[str, Any]) -> dict[str, Any]:
    """A published network on the whole volume, one structure of all."""
    import torch

    network, device, base = _network(job)
    z, y, x = cropped(tuple(job["shape"]), job["step"])
    stack = torch.from_numpy(field(job["shape"]))[:z, :y, :x].to(device)
    times = []
    with torch.inference_mode():
        for _ in range(2):
            times.append(timed(lambda: network(stack[None, None]), device))
    return {
        "measured": 1,
        "shape": [z, y, x],
        "seconds_piece": min(times),
        "peak_mib": resident_mib("VmHWM") - base,
        **_device_peak(job["device"]),
    }


def field(shape: Any) -> np.ndarray:
    """Noise of mean 0 and deviation 1, always the same; its values cost no time."""
    rng = np.random.default_rng(0)
    return rng.standard_normal(tuple(shape), np.float32)


def _network(job: dict[str, Any]) -> tuple[Any, Any, float]:
    """Build the network of a job: with its device, and the memory before it."""
    import torch

    from napari_sparsessp.networks import NetworkConfig, build_network

    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    base = resident_mib("VmRSS")
    config = NetworkConfig.model_validate(job["network"])
    network = build_network(config).eval().to(job["device"])
    return network, torch.device(job["device"]), base


def _ways(network: Any) -> tuple[Callable[[Any], Any], Callable[[], object]]:
    """Predict structure 0 of a window, and what the authors do before each window.

    RepMode's published code mixes its experts' kernels anew for every sample, also
    where the structure has not changed.
    """
    if network.config.conditioning != "repmode":
        return lambda window: network(window[None, None], [0])[0, 0], lambda: None
    from napari_sparsessp.networks.unet import merge

    twin = merge(network, 0)
    # The twin predicts one structure and takes the network's own view of a window.
    return (
        lambda window: twin.decode_view(network.view(window[None, None]))[0, 0],
        lambda: merge(network, 0),
    )


def _importance(window: Any) -> Any:
    """Gaussian weights of a window, σ an eighth of its sides (models.md 5.3)."""
    import torch

    z, y, x = (
        torch.exp(-0.5 * ((torch.arange(n) - (n - 1) / 2) / (n / 8)) ** 2)
        for n in window
    )
    return z[:, None, None] * y[:, None] * x


def timed(run: Callable[[], object], device: Any) -> float:
    """Seconds until a device, by name or as torch's, has really done it."""
    _wait(str(device))
    began = time.perf_counter()
    run()
    _wait(str(device))
    return time.perf_counter() - began


def _wait(device: str) -> None:
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()


def _device_peak(device: str) -> dict[str, float]:
    import torch

    if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
        return {"peak_device_mib": torch.cuda.max_memory_allocated() / 2**20}
    return {}


def autocast(precision: str, device: Any) -> Any:
    """What the engine computes a precision in."""
    import torch

    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    return torch.autocast(device.type, dtype) if dtype else nullcontext()


def _peaks(job: dict[str, Any]) -> dict[str, Any]:
    from napari_sparsessp.evaluation.machine_peaks import machine_peaks

    return machine_peaks(job["threads"], job["device"])


def _layers(job: dict[str, Any]) -> dict[str, Any]:
    from napari_sparsessp.evaluation.layer_times import layer_times

    return layer_times(job)


TASKS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "engine": engine,
    "windows": windows,
    "whole": whole,
    "peaks": _peaks,
    "layers": _layers,
}
"""By the name that a job has."""
