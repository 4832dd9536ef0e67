"""What a fleet takes: a million users, their requests a day, kilowatt hours a year.

    python examples/fleet_energy.py [MODEL.onnx FRAMES.npz]

Without words a small random LSTM is run; its figures say nothing about a product. Users, requests
and seconds are assumptions, printed with the result, and so is every joule: no silicon figure of
an AZ chip exists (docs/energy_model.md).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

import azsim
from azsim.report.energy import cpu_energy
from azsim.zoo import build_zoo, save_onnx

USERS, REQUESTS_A_DAY, SECONDS_A_REQUEST = 1_000_000, 20, 4.0
DAYS, JOULES_A_KWH, PJ_A_JOULE = 365, 3.6e6, 1e12
FRAMES, FEATURES = 20, 24


def kwh_a_year(pj_a_second: float) -> float:
    """Kilowatt hours that the fleet takes in a year at so many picojoules per second of audio."""
    seconds = USERS * REQUESTS_A_DAY * SECONDS_A_REQUEST * DAYS
    return pj_a_second / PJ_A_JOULE * seconds / JOULES_A_KWH


def small_model(folder: Path) -> tuple[Path, Path]:
    """A random net and noise for it."""
    model, frames = folder / "tiny_lstm.onnx", folder / "frames.npz"
    save_onnx(build_zoo("tiny_lstm", None, 8, 0.0, 1), model)
    noise = np.random.default_rng(1).normal(size=(FRAMES, 1, 1, FEATURES))
    np.savez(frames, noise.astype(np.float32))
    return model, frames


def main(words: list[str]) -> None:
    """Run the net once, then multiply."""
    with tempfile.TemporaryDirectory() as name:
        model, frames = map(Path, words) if words else small_model(Path(name))
        record = azsim.run(
            model, input=frames, chip="az1", bits=5, sparsity=0.5, timing_only=True, cache=False
        )
    energy, cpu = record.energy, cpu_energy(record)
    audio_s = energy.time.audio_ps / 1e12
    print(f"{record.model}, {record.frames} frames of {record.frame_ms:g} ms on {record.chip.name}")
    print(f"{USERS:,} users, {REQUESTS_A_DAY} requests a day of {SECONDS_A_REQUEST:g} s (assumed)")
    rows = {"az1 (assumed)": energy.total_fj.pj(), "mobile CPU": cpu.total_fj.pj()}
    for label, pj in rows.items():
        low, nominal, high = (kwh_a_year(pj[n] / audio_s) for n in ("low", "nominal", "high"))
        print(f"{label:<14} {nominal:12,.1f} kWh a year ({low:,.1f} to {high:,.1f})")
    print(f"the CPU: {cpu.assumption}")
    print("not in it: microphones, networks, chargers, and the hours in which nobody speaks")


if __name__ == "__main__":
    main(sys.argv[1:])
