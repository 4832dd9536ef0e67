"""Speaks the commands and writes their features: python -m tiny_rnnt.make_data --out DATA.

Nothing is downloaded: sentences come from `grammar`, speech from espeak-ng and flite. A split is
one .npz file with the features of all its utterances one after the other.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from azsim.frontend.audio import log_mel
from tiny_rnnt.grammar import sentences, symbols_of
from tiny_rnnt.voices import RATE_HZ, Voice, check_variants, draw_voice, speak

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """One file: which sentences and voices it has, and how many utterances."""

    name: str
    sentences: str  # the split of `grammar`
    seen_voices: bool
    flite_share: float
    utterances: int


PARTS = (
    Part("train", "train", True, 0.12, 8000),
    Part("dev", "dev", True, 0.12, 200),
    Part("test_seen", "test", True, 0.0, 200),
    Part("test_unseen", "test", False, 0.0, 200),
    Part("test_flite", "test", False, 1.0, 100),
)
PEAK = 0.5  # of full scale, before the drawn level
QUIETEST_DB = -20.0
NOISE_DB = (8.0, 30.0)  # speech over noise
NOISY_SHARE = 0.6
PAUSE_SECONDS = 0.3  # at most, at either end


@dataclass(frozen=True)
class Task:
    """One utterance to make; `seed` draws its noise and level."""

    sentence: str
    voice: Voice
    seed: int


def add_noise(rng: np.random.Generator, samples: Float32Array) -> Float32Array:
    """Return samples plus white or pink noise at a drawn level below them."""
    white = rng.standard_normal(len(samples))
    if rng.random() < 0.5:
        spectrum = np.fft.rfft(white)
        spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1.0))
        white = np.fft.irfft(spectrum, len(samples))
    ratio = 10 ** (-rng.uniform(*NOISE_DB) / 20)
    level = ratio * np.sqrt(np.square(samples).mean() / np.square(white).mean())
    return (samples + level * white).astype(np.float32)


def room(rng: np.random.Generator, samples: Float32Array) -> Float32Array:
    """Return samples with a few echoes that fade away within a tenth of a second."""
    taps = np.zeros(RATE_HZ // 10)
    taps[0] = 1.0
    places = rng.integers(RATE_HZ // 500, len(taps), size=12)
    taps[places] += rng.normal(0, 0.3, size=12) * np.exp(-4 * places / len(taps))
    return np.convolve(samples, taps)[: len(samples)].astype(np.float32)


def recorded(rng: np.random.Generator, samples: Float32Array) -> Float32Array:
    """Return the utterance as a microphone may give it: pauses, room, level, noise, 16 bits."""
    pauses = rng.uniform(0, PAUSE_SECONDS, size=2) * RATE_HZ
    samples = np.pad(samples, tuple(int(pause) for pause in pauses))
    if rng.random() < 0.3:
        samples = room(rng, samples)
    if rng.random() < NOISY_SHARE:
        samples = add_noise(rng, samples)
    gain = PEAK * 10 ** (rng.uniform(QUIETEST_DB, 0) / 20)
    samples = samples * (gain / np.abs(samples).max())
    return (np.rint(samples * 32768) / 32768).astype(np.float32)


def make_utterance(task: Task) -> Float32Array:
    """Return the features (frames, 64) of one utterance, as azsim makes them of a recording."""
    rng = np.random.default_rng(task.seed)
    return log_mel(recorded(rng, speak(task.voice, task.sentence)))


def tasks_of(part: Part, seed: int) -> Iterator[Task]:
    """Yield the utterances of `part`; the same seed gives the same."""
    key = [seed, *part.name.encode()]
    rng = np.random.default_rng(key)
    source = sentences(part.sentences, rng)
    for _ in range(part.utterances):
        sentence = next(source)
        voice = draw_voice(rng, part.seen_voices, part.flite_share)
        yield Task(sentence, voice, int(rng.integers(1 << 62)))


def write_part(part: Part, folder: Path, seed: int, pool: ProcessPoolExecutor) -> None:
    """Write `folder`/NAME.npz: features (frames, 64), frame_ends, symbols, symbol_ends, voices."""
    tasks = list(tasks_of(part, seed))
    made = pool.map(make_utterance, tasks, chunksize=16)
    features = list(tqdm(made, total=len(tasks), desc=part.name, unit="utterance"))
    symbols = [symbols_of(task.sentence) for task in tasks]
    temporary = folder / f"{part.name}.part.npz"
    np.savez(
        temporary,
        features=np.concatenate(features),
        frame_ends=np.cumsum([len(one) for one in features]),
        symbols=np.concatenate(symbols),
        symbol_ends=np.cumsum([len(one) for one in symbols]),
        voices=np.array([f"{task.voice.program} {task.voice.name}" for task in tasks]),
    )
    temporary.rename(folder / f"{part.name}.npz")


def main() -> None:
    """Make the files that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the data")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    wishes = parser.parse_args()
    check_variants()
    wishes.out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(wishes.jobs) as pool:
        for part in PARTS:
            if not (wishes.out / f"{part.name}.npz").exists():
                write_part(part, wishes.out, wishes.seed, pool)


if __name__ == "__main__":
    main()
