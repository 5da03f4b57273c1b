"""Time GVTNet, whole and in our engine, in one run; memory of each by itself.

The published network with random weights and one structure, float32 on the CPU. The
plain pass is the network's equations as functions of torch, for all voxels at once.

    python -m benchmarks.speed.gvtnet                     # 65×232×344 voxels
    python -m benchmarks.speed.gvtnet --shape 65,1024,1024 --limit 2GB --engine-only
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FIELD = (65, 232, 344)


def plain_pass(weights: dict[str, Any], x: Any) -> Any:
    """Compute (1, 1, D, H, W), multiples of 8, in one go."""
    import torch
    import torch.nn.functional as F

    def bnr(name: str, h: Any) -> Any:
        keys = ("running_mean", "running_var", "weight", "bias")
        h = F.batch_norm(h, *(weights[f"{name}.{key}"] for key in keys))
        return torch.clamp(h, 0, 6)

    def conv(name: str, h: Any, stride: int = 1) -> Any:
        if stride > 1:
            return F.conv3d(F.pad(h, (0, 1) * 3), weights[f"{name}.weight"], stride=2)
        return F.conv3d(h, weights[f"{name}.weight"], padding=1)

    def residual(name: str, h: Any) -> Any:
        y = conv(f"{name}.conv1", bnr(f"{name}.norm1", h))
        return h + conv(f"{name}.conv2", bnr(f"{name}.norm2", y))

    def point(name: str, h: Any, **more: Any) -> Any:
        bias = weights.get(f"{name}.bias")
        return F.conv3d(h, weights[f"{name}.weight"], bias, **more)

    h = residual("residual", conv("first", x))
    skips = []
    for name in ("downs.0", "downs.1", "downs.2"):
        skips.append(h)
        g = bnr(f"{name}.norm1", h)
        y = bnr(f"{name}.norm2", conv(f"{name}.conv1", g, stride=2))
        h = point(f"{name}.shortcut", g, stride=2) + conv(f"{name}.conv2", y)
    g = bnr("attention.norm", h)
    names = ("query", "key", "value")
    q, k, v = (
        point(f"attention.{name}", g).flatten(2).transpose(1, 2) for name in names
    )
    o = (q / q.shape[2] ** 0.5) @ (k.transpose(1, 2) @ v / k.shape[1])
    h = h + point("attention.out", o.transpose(1, 2).reshape(h.shape))
    for level in (2, 1, 0):
        size = [slice(0, 2 * extent) for extent in h.shape[2:]]
        up = F.conv_transpose3d(h, weights[f"ups.{level}.weight"], stride=2)
        h = residual(f"decoder.{level}", up[..., *size] + skips.pop())
    return point("head", bnr("norm", h), padding=1)


def prepared(shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Return a model with random weights, and a stack of noise."""
    import numpy as np
    import torch

    from napari_sparsessp import Volume
    from napari_sparsessp.models.card import network_fields
    from napari_sparsessp.models.library import Model, read_card
    from napari_sparsessp.networks import NetworkConfig, build_network

    torch.manual_seed(0)
    config = NetworkConfig(backbone="gvt", outputs=1)
    network = build_network(config).eval().requires_grad_(False)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
    fields = {"structures": ("dna",), "scaling": "zscore", "uncertainty": {}}
    card = read_card().model_copy(update=fields | network_fields(config))
    noise = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return Model(card, network, "", Path()), Volume(noise, "ZYX", card.voxel_size)


def passes(options: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """Return both ways to predict the same."""
    import numpy as np
    import torch

    from napari_sparsessp import PredictionRequest, predict

    model, volume = prepared(options.shape)
    request = PredictionRequest(
        device="cpu", memory_limit=options.limit, normalisation=(0, 1)
    )

    def engine() -> Any:
        return predict(model, volume, request=request).volume.numpy()

    def plain() -> Any:
        padding = [(-n % 8 // 2, -n % 8 - -n % 8 // 2) for n in volume.shape]
        x = torch.from_numpy(np.pad(volume.numpy(), padding, "reflect"))
        with torch.inference_mode():
            y = plain_pass(model.network.state_dict(), x[None, None])[0].numpy()
        inner = (slice(a, -b or None) for a, b in padding)
        return y[(slice(None), *inner)]

    return (
        {"engine": engine}
        if options.engine_only
        else {"plain": plain, "engine": engine}
    )


def measure(options: argparse.Namespace) -> None:
    """Print seconds, the largest difference, and the peak of each."""
    import numpy as np

    both = passes(options)
    seconds: dict[str, list[float]] = {name: [] for name in both}
    used: dict[str, list[float]] = {name: [] for name in both}
    results = {}
    for _ in range(options.repeats):
        for name, run in both.items():
            start, cpu = time.perf_counter(), time.process_time()
            results[name] = run()
            seconds[name].append(time.perf_counter() - start)
            used[name].append(time.process_time() - cpu)
    for name in both:
        peak = subprocess.run(
            [sys.executable, "-m", "benchmarks.speed.gvtnet", *sys.argv[1:]]
            + ["--peak-of", name],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        mib = json.loads(peak.stdout.splitlines()[-1])
        best = min(seconds[name]), min(used[name])
        print(f"{name}: {best[0]:.1f} s, {best[1]:.1f} s of CPU, peak {mib:.0f} MiB")
    if len(both) > 1:
        plain, engine = results["plain"], results["engine"]
        ratio = min(seconds["engine"]) / min(seconds["plain"])
        cpu = min(used["engine"]) / min(used["plain"])
        worst = np.abs(plain - engine).max() / plain.std()
        print(f"engine / plain: {ratio:.2f}, {cpu:.2f} of CPU; {worst:.1e} σ apart")


def main() -> None:
    """Measure, or be the process whose peak is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--shape", default=FIELD, type=lambda text: tuple(map(int, text.split(",")))
    )
    parser.add_argument("--limit", help="memory limit of the engine, such as 2GB")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--engine-only", action="store_true")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    options = parser.parse_args()

    import torch

    import napari_sparsessp.networks  # noqa: F401 - sets the allocator up before torch

    torch.set_num_threads(options.threads)
    if options.peak_of:
        from napari_sparsessp.evaluation.speed_worker import resident_mib

        passes(options)[options.peak_of]()
        print(json.dumps(resident_mib("VmHWM")))
        return
    measure(options)


if __name__ == "__main__":
    main()
