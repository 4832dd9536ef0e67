"""Speed of the weight-stream codec: weights per second of one core, best of several runs.

python benchmarks/codec_speed.py [--weights N]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from azsim.codec import decode_tensor, encode_tensor
from azsim_kernels.crc import CRC_START, crc32c_words

RUNS = 5


def best_seconds(call: Callable[[], object]) -> float:
    """Return the least processor time of a call, after one that compiles."""
    call()
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def tensors(count: int) -> dict[str, NDArray[np.int8]]:
    """Return matrices of `count` weights by name."""
    rng = np.random.default_rng(0)
    made = {"uniform 8 bit": rng.integers(-128, 128, count).astype(np.int8)}
    for bits, zeros in ((8, 0.0), (8, 0.5), (5, 0.5), (4, 0.9)):
        most = 2 ** (bits - 1) - 1
        values = np.clip(np.round(rng.laplace(size=count) * most / 8), -most, most)
        values[rng.random(count) < zeros] = 0
        made[f"laplace {bits} bit, {zeros:.0%} pruned"] = values.astype(np.int8)
    return {name: values.reshape(-1, 1024) for name, values in made.items()}


def main() -> None:
    """Print one line per tensor and profile."""
    parser = argparse.ArgumentParser(description="Speed of the weight-stream codec.")
    parser.add_argument("--weights", type=int, default=1 << 22, help="weights per tensor")
    count = max(1024, parser.parse_args().weights // 1024 * 1024)
    words = np.random.default_rng(1).integers(0, 2**63, 1 << 20, dtype=np.uint64)
    seconds = best_seconds(lambda: crc32c_words(words, CRC_START))
    print(f"CRC-32C: {words.nbytes / seconds / 1e9:.2f} GB/s")
    print(f"{'tensor':<28} {'profile':<8} {'encode':>8} {'decode':>8}   M weights/s, one core")
    for name, weights in tensors(count).items():
        for profile in ("bitmap", "ans"):
            stream = encode_tensor(weights, profile=profile)
            encode = best_seconds(lambda w=weights, p=profile: encode_tensor(w, profile=p))  # type: ignore[misc]
            decode = best_seconds(lambda s=stream: decode_tensor(s))  # type: ignore[misc]
            rates = f"{count / encode / 1e6:8.0f} {count / decode / 1e6:8.0f}"
            print(f"{name:<28} {profile:<8} {rates}")


if __name__ == "__main__":
    main()
