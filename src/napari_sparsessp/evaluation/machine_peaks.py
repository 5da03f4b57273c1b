"""What this machine can do at most: multiply-adds and bytes in a second, measured."""

import time
from collections.abc import Callable
from typing import Any

SIDES = (1024, 2048, 4096)
"""Of the square matrices that are multiplied."""

CHANNELS, PLANE = 256, 128
"""Of the 3×3 convolution that counts as well: some libraries multiply matrices slower
than they convolve, and a share above 1 would say nothing."""

VALUES = 2**26
"""Float32 values, 256 MiB, that are copied."""

SECONDS = 1.0
"""Each is the best of passes that take so long together, and of three at least."""


def machine_peaks(
    threads: int, device: str = "cpu", scale: int = 1
) -> dict[str, float]:
    """Measure the fastest products and copies.

    Parameters
    ----------
    threads : int
    device : str
        ``cpu``, ``cuda`` or ``mps``.
    scale : int
        Sizes are divided by this; for tests.

    Returns
    -------
    dict
        ``gmac_fp32`` and ``gmac_bf16``, 10⁹ multiply-adds a second: the best of
        matrix products and of a convolution with many channels. ``gemm_fp32`` and
        ``gemm_bf16``: of the matrix products alone. ``copy_gb`` and ``triad_gb``, 10⁹
        bytes a second, read and written together.
    """
    import torch

    torch.set_num_threads(threads)
    found: dict[str, float] = {}
    with torch.inference_mode():
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            products = [_product(side // scale, dtype, device) for side in SIDES]
            found[f"gemm_{name}"] = max(products)
            convolved = _convolution(CHANNELS, PLANE // scale, dtype, device)
            found[f"gmac_{name}"] = max(*products, convolved)
        a = torch.ones(VALUES // scale**2, device=device)
        b, out = torch.ones_like(a), torch.empty_like(a)
        size = a.numel() * a.element_size() / 1e9
        found["copy_gb"] = 2 * size / _best(lambda: out.copy_(a), device)
        found["triad_gb"] = (
            3 * size / _best(lambda: torch.add(a, b, alpha=2.0, out=out), device)
        )
    return found


def _product(side: int, dtype: Any, device: str) -> float:
    import torch

    a = torch.randn(side, side, device=device).to(dtype)
    return side**3 / 1e9 / _best(lambda: torch.mm(a, a), device)


def _convolution(channels: int, side: int, dtype: Any, device: str) -> float:
    import torch
    import torch.nn.functional as F

    layout = torch.channels_last
    x = torch.randn(1, channels, side, side, device=device).to(dtype)
    weight = torch.randn(channels, channels, 3, 3, device=device).to(dtype)
    x, weight = (
        x.contiguous(memory_format=layout),
        weight.contiguous(memory_format=layout),
    )
    products = 9 * channels**2 * side**2 / 1e9
    return products / _best(lambda: F.conv2d(x, weight, padding=1), device)


def _best(run: Callable[[], object], device: str) -> float:
    from napari_sparsessp.evaluation.field_worker import timed

    times = [timed(run, device)]  # a warm-up, which is not counted
    began = time.perf_counter()
    while len(times) < 4 or time.perf_counter() - began < SECONDS:
        times.append(timed(run, device))
    return min(times[1:])
