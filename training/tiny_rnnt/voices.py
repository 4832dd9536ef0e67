"""The voices of the two synthesizers, and which of them the training never hears."""

from __future__ import annotations

import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

Float32Array = npt.NDArray[np.float32]

RATE_HZ = 16000
# English accents of espeak-ng 1.51 that need no other program.
ACCENTS = (
    *("en-us", "en-gb", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-gb-x-gbcwmd"),
    *("en-029", "en-us-nyc"),
)
# Its variants whose names promise a person: no robots, no whispering. "" is the plain voice.
SEEN_VARIANTS = (
    *("", "adam", "Alex", "Alicia", "Andrea", "Andy", "antonio", "aunty", "benjamin", "boris"),
    *("caleb", "david", "Denis", "ed", "edward", "Gene", "Henrique", "iven", "iven2", "Jacky"),
    *("john", "Lee", "linda", "Marco", "Mario", "max", "miguel", "Mike", "Nguyen", "paul", "pedro"),
    *("rob", "robert", "sandro", "steph", "steph3", "travis", "victor", "zac", "f1", "f2", "f3"),
    *("f5", "m1", "m2", "m3", "m5", "m6", "m8", "anika"),
)
UNSEEN_VARIANTS = (
    *("f4", "m4", "m7", "belinda", "Michael", "Hugo", "steph2", "Annie", "quincy", "Diogo"),
)
SEEN_FLITE = ("awb", "kal16", "slt")
UNSEEN_FLITE = ("rms",)


@dataclass(frozen=True)
class Voice:
    """One way to speak: `program` espeak-ng or flite, the voice's name, speed and height.

    `speed` is 1 for the voice's usual speed; `pitch` 0..1 from low to high.
    """

    program: str
    name: str
    speed: float
    pitch: float


def draw_voice(rng: np.random.Generator, seen: bool, flite_share: float) -> Voice:
    """Return a voice at a drawn speed and height; `flite_share` of them are flite's."""
    speed, pitch = float(rng.uniform(0.8, 1.2)), float(rng.uniform(0.2, 0.8))
    if rng.random() < flite_share:
        names = SEEN_FLITE if seen else UNSEEN_FLITE
        return Voice("flite", names[rng.integers(len(names))], speed, pitch)
    variants = SEEN_VARIANTS if seen else UNSEEN_VARIANTS
    variant, accent = variants[rng.integers(len(variants))], ACCENTS[rng.integers(len(ACCENTS))]
    return Voice("espeak-ng", f"{accent}+{variant}" if variant else accent, speed, pitch)


def _espeak(voice: Voice, text: str, file: Path) -> list[str]:
    speed, pitch = round(160 * voice.speed), round(100 * voice.pitch)
    return [
        "espeak-ng",
        "-v",
        voice.name,
        "-s",
        str(speed),
        "-p",
        str(pitch),
        "-w",
        str(file),
        text,
    ]


def _flite(voice: Voice, text: str, file: Path) -> list[str]:
    height_hz = 90 + 90 * voice.pitch
    setting = f"int_f0_target_mean={height_hz:.0f}"
    stretch = f"duration_stretch={1 / voice.speed:.3f}"
    options = ["-voice", voice.name, "--setf", setting, "--setf", stretch]
    return ["flite", *options, "-t", text, "-o", str(file)]


def check_variants() -> None:
    """Raise ValueError if espeak-ng lacks one: it would speak with its plain voice, and tell no
    one."""
    listed = subprocess.run(
        ["espeak-ng", "--voices=variant"], check=True, capture_output=True, text=True
    ).stdout
    known = {line.split("!v/")[1].strip().split("  ")[0] for line in listed.splitlines()[1:]}
    missing = sorted({*SEEN_VARIANTS, *UNSEEN_VARIANTS} - {"", *known})
    if missing:
        raise ValueError(f"espeak-ng must have the variants {', '.join(missing)}")


def speak(voice: Voice, text: str) -> Float32Array:
    """Return `text` spoken, 16 kHz, samples in [-1, 1).

    Raises subprocess.CalledProcessError or FileNotFoundError if the program fails or is missing.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "speech.wav"
        command = {"espeak-ng": _espeak, "flite": _flite}[voice.program](voice, text, file)
        subprocess.run(command, check=True, capture_output=True)
        with wave.open(str(file), "rb") as recording:
            rate_hz = recording.getframerate()
            raw = recording.readframes(recording.getnframes())
    samples = np.frombuffer(raw, dtype="<i2").astype(np.float64) / 32768
    if rate_hz != RATE_HZ:
        samples = resample_poly(samples, RATE_HZ, rate_hz)
    return samples.astype(np.float32)
