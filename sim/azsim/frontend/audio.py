"""From a 16 kHz recording to stacked log-mel features.

The features are those of kaldi-native-fbank: 64 log mel filter banks from 20 Hz to 8 kHz, 25 ms
Povey windows every 10 ms, whole windows only (snip_edges), no dither, samples as fractions of full
scale in [-1, 1). Then the mean of each bank over the whole recording is subtracted (a streaming
device would use a running mean; the recording is known here).
"""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

from azsim.errors import ModelError

Float32Array = npt.NDArray[np.float32]

SAMPLE_RATE_HZ = 16000
MEL_BANKS = 64
WINDOW_MS = 25
HOP_MS = 10
MAX_SECONDS = 3600


def read_wav(path: Path) -> Float32Array:
    """Return the samples of a 16 kHz mono 16-bit PCM file as float32 in [-1, 1).

    Raises ModelError (without the path) for any other form, an empty or over-long recording.
    """
    try:
        with wave.open(str(path), "rb") as file:
            _check_form(file)
            raw = file.readframes(file.getnframes())
            if len(raw) != 2 * file.getnframes():
                raise ModelError(
                    f"must hold {file.getnframes()} samples as its header says, not {len(raw) // 2}"
                )
    # RuntimeError: wave's reader of chunks, sent beyond the end by a damaged length
    except (wave.Error, EOFError, RuntimeError, struct.error) as error:
        reason = str(error) or "it is cut short"
        raise ModelError(f"must be a PCM .wav file: {reason}") from None
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}") from None
    return np.frombuffer(raw, dtype="<i2").astype(np.float32) / np.float32(32768)


def _check_form(file: wave.Wave_read) -> None:
    found = (file.getframerate(), file.getnchannels(), 8 * file.getsampwidth())
    if found != (SAMPLE_RATE_HZ, 1, 16):
        raise ModelError(
            f"must have {SAMPLE_RATE_HZ} Hz, 1 channel and 16 bits, not {found[0]} Hz,"
            f" {found[1]} channels and {found[2]} bits"
        )
    if file.getnframes() > MAX_SECONDS * SAMPLE_RATE_HZ:
        raise ModelError(
            f"must be at most {MAX_SECONDS} s long; its header says {file.getnframes()} samples"
        )


def log_mel(samples: Float32Array) -> Float32Array:
    """Return mean-normalized log-mel features (frames, 64); no frames if shorter than 25 ms."""
    import kaldi_native_fbank  # needed for recordings only

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = SAMPLE_RATE_HZ
    options.frame_opts.frame_length_ms = WINDOW_MS
    options.frame_opts.frame_shift_ms = HOP_MS
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = MEL_BANKS
    fbank = kaldi_native_fbank.OnlineFbank(options)
    fbank.accept_waveform(SAMPLE_RATE_HZ, samples.tolist())
    fbank.input_finished()
    count = fbank.num_frames_ready
    if not count:
        return np.empty((0, MEL_BANKS), dtype=np.float32)
    features = np.stack([fbank.get_frame(k) for k in range(count)]).astype(np.float32)
    return np.asarray(features - features.mean(axis=0, dtype=np.float64), dtype=np.float32)


def stack_frames(features: Float32Array, per_step: int) -> Float32Array:
    """Return (steps, per_step * 64): consecutive frames side by side; an incomplete rest is left
    out."""
    steps = len(features) // per_step
    return features[: steps * per_step].reshape(steps, per_step * features.shape[1])
