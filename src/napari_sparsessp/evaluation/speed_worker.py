"""Measure a network in a fresh process: ``python -m napari_sparsessp.evaluation.…``.

Each task takes a job from `speed`, a dict from JSON, and answers with one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_sparsessp.subprocesses import serve

REPEATS = 3
"""A time is the best of at least so many passes after a warm-up …"""

SETTLED, MOST = 1.0, 20
"""… of more where they take less than a second together, but not of more than 20 …"""

PATIENCE = 20.0
"""… or of fewer, at least one, where they take more seconds than this."""


def resident_mib(field: str) -> float:
    """Return the MiB of this process now (``VmRSS``) or at its peak (``VmHWM``)."""
    status = Path("/proc/self/status")
    if status.exists():
        # The usual ru_maxrss would begin with that of the process that started us.
        for line in status.read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 2**10
    import psutil

    info = psutil.Process().memory_info()
    if field == "VmRSS":
        return info.rss / 2**20
    if sys.platform == "win32":
        return info.peak_wset / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def timed(run: Callable[[], object], device: str = "cpu") -> float:
    """Return the seconds until a device has really done it."""
    _synchronize(device)
    began = time.perf_counter()
    run()
    _synchronize(device)
    return time.perf_counter() - began


def _synchronize(device: str) -> None:
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()


def best_times(
    runs: Sequence[Callable[[], object]],
    repeats: int,
    device: str = "cpu",
    most: int = MOST,
) -> list[tuple[float, int]]:
    """Return the seconds of the fastest pass of each, and how many were tried.

    They alternate, so that a busy moment of the machine spoils none alone.
    """
    times: list[list[float]] = [[] for _ in runs]
    while len(times[0]) < most and any(
        len(mine) < repeats or sum(mine) < SETTLED for mine in times
    ):
        if times[0] and sum(map(sum, times)) > PATIENCE * len(runs):
            break
        for run, mine in zip(runs, times, strict=True):
            mine.append(timed(run, device))
    return [(min(mine), len(mine)) for mine in times]


def count(job: dict[str, Any]) -> dict[str, Any]:
    """Count parameters and GMAC of all networks of a job."""
    import torch

    from napari_sparsessp.networks import NetworkConfig
    from napari_sparsessp.networks.cost import count_cost
    from napari_sparsessp.prediction.device import choose_precision

    bf16 = choose_precision("auto", torch.device("cpu")) == "bf16"
    size = tuple(job["size"])
    costs = []
    for values in job["networks"]:
        config = NetworkConfig.model_validate(values)
        one = count_cost(config, [0], size)
        costs.append({"parameters": one.parameters, "gmac_one": one.gmac})
        if config.outputs > 1:
            costs[-1]["gmac_all"] = count_cost(config, None, size).gmac
    return {"machine": {"torch": torch.__version__, "bf16": bf16}, "costs": costs}


def patch(job: dict[str, Any]) -> dict[str, Any]:
    """Predict a patch with one network: one structure, and all of them."""
    import torch

    network, base = _network(job)
    config, repeats = network.config, job["repeats"]
    # In memory as the engine has it.
    x = torch.randn((1, config.inputs, config.planes, *job["size"]))
    x = x.contiguous(memory_format=torch.channels_last_3d)
    answer: dict[str, Any] = {"base_mib": base}
    with torch.inference_mode(), autocast(job["precision"], "cpu"):
        if config.conditioning == "repmode":
            # Merged kernels of all structures may be more than are kept, so each
            # structure is warmed up and measured before the next.
            from napari_sparsessp.networks.unet import merge

            answer["seconds_merge"] = best_times([partial(merge, network, 0)], 2)[0][0]
            each, peaks = [], []
            for structure in range(config.outputs):
                run = partial(network, x, [structure])
                run()
                each += best_times([run], repeats)
                peaks.append(resident_mib("VmHWM"))
            seconds, tries = zip(*each, strict=True)
            times = [each[0], (sum(seconds), min(tries))]
            peaks = [peaks[0], peaks[-1]]
        else:
            runs = [partial(network, x, [0])]
            runs += [partial(network, x)] * (config.outputs > 1)
            peaks = []
            for run in runs:
                run()
                peaks.append(resident_mib("VmHWM"))
            times = best_times(runs, repeats)
    # Keys without a second run are left out.
    for name, (best, count), peak in zip(("one", "all"), times, peaks, strict=False):
        answer |= {f"seconds_{name}": best, f"repeats_{name}": count}
        answer[f"peak_{name}_mib"] = peak - base
    return answer


def engine(job: dict[str, Any]) -> dict[str, Any]:
    """Predict the field by our model, from a volume in memory to all structures."""
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
    stack = 100 * _noise(job["shape"]) + 1000
    volume = Volume(stack, "ZYX", voxel_size=model.card.voxel_size)
    request = PredictionRequest(
        ratio=1, device=job["device"], precision=job["precision"]
    )
    times = []
    for _ in range(1 + job["repeats"]):
        began = time.perf_counter()
        report = predict(model, volume, request=request).report
        times.append(time.perf_counter() - began)
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
        **_peak(base, job["device"]),
    }


def windows(job: dict[str, Any]) -> dict[str, Any]:
    """Predict some windows of one structure by a published network.

    Their weighted sum is kept for the whole volume, as the published code does. RepMode
    mixes its experts' kernels before each window, also where the structure has not
    changed, as its published code does.
    """
    import torch

    network, base = _network(job)
    device = job["device"]
    stack = torch.from_numpy(_noise(job["shape"])).to(device)
    total, weights = torch.zeros_like(stack), torch.zeros_like(stack)
    # Gaussian weights, σ an eighth of the window's sides (models.md 5.3).
    z, y, x = (
        torch.exp(-0.5 * ((torch.arange(n) - (n - 1) / 2) / (n / 8)) ** 2)
        for n in job["window"]
    )
    importance = (z[:, None, None] * y[:, None] * x).to(device)
    mix: Callable[[], object] = bool
    run: Callable[[Any], Any] = partial(_first, network)
    if network.config.conditioning == "repmode":
        from napari_sparsessp.networks.unet import merge

        mix, twin = partial(merge, network, 0), merge(network, 0)
        run = partial(_by_twin, network, twin)

    def predict(box: tuple[slice, ...]) -> None:
        total[box] += importance * run(stack[box])
        weights[box] += importance

    times, mixing = [], []
    with torch.inference_mode():
        for corner in [job["corners"][0], *job["corners"]]:
            ends = zip(corner, job["window"], strict=True)
            box = tuple(slice(start, start + length) for start, length in ends)
            mixing.append(timed(mix, device))
            times.append(timed(partial(predict, box), device))
    return {
        "measured": len(times) - 1,
        "seconds_piece": min(times[1:]),
        "seconds_merge": min(mixing[1:]),
        **_peak(base, device),
    }


def whole(job: dict[str, Any]) -> dict[str, Any]:
    """Predict one structure by a published network on the whole, cropped volume."""
    import torch

    network, base = _network(job)
    z, y, x = job["crop"]
    stack = torch.from_numpy(_noise(job["shape"]))[:z, :y, :x].to(job["device"])
    with torch.inference_mode():
        times = [timed(lambda: _first(network, stack), job["device"]) for _ in "12"]
    return {
        "measured": 1,
        "shape": [z, y, x],
        "seconds_piece": min(times),
        **_peak(base, job["device"]),
    }


def _first(network: Any, stack: Any) -> Any:
    """Predict structure 0 of a (D, H, W) stack."""
    if network.config.outputs == 1:
        return network(stack[None, None])[0, 0]
    return network(stack[None, None], [0])[0, 0]


def _by_twin(network: Any, twin: Any, window: Any) -> Any:
    """Predict by a merged twin of one structure, from the network's own view."""
    return twin.decode_view(network.view(window[None, None]))[0, 0]


def _network(job: dict[str, Any]) -> tuple[Any, float]:
    """Build the network of a job; return the MiB before it as well."""
    import torch

    from napari_sparsessp.networks import NetworkConfig, build_network

    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    base = resident_mib("VmRSS")
    config = NetworkConfig.model_validate(job["network"])
    return build_network(config).eval().to(job.get("device", "cpu")), base


def _noise(shape: Sequence[int]) -> np.ndarray:
    """Noise of mean 0 and deviation 1, always the same; its values cost no time."""
    return np.random.default_rng(0).standard_normal(tuple(shape), np.float32)


def autocast(precision: str, device: str) -> Any:
    """Return the context of a precision: ``fp32``, ``bf16`` or ``fp16``."""
    import torch

    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    return torch.autocast(device, dtype) if dtype else nullcontext()


def _peak(base: float, device: str) -> dict[str, float]:
    import torch

    peak = {"peak_mib": resident_mib("VmHWM") - base}
    if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
        peak["peak_device_mib"] = torch.cuda.max_memory_allocated() / 2**20
    return peak


TASKS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    task.__name__: task for task in (count, patch, engine, windows, whole)
}
"""By the name that a job has."""


def answer(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Do one job."""
    yield TASKS[job["task"]](job)


if __name__ == "__main__":
    serve(answer)
