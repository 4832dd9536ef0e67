"""The volume run: millions of cycles through Verilator, `python -m azsim.rtl_check.volume`.

The clocked model runs first and writes inputs and expected outputs of every cycle; the RTL,
compiled to a shared library, replays the inputs in one call per batch; numpy compares. The inputs
can be fixed beforehand because the model says when a word is accepted. Scenarios are those of
`azsim verify-rtl`, so a mismatch can be replayed there. Verilator knows no X; the lockstep does.
"""

from __future__ import annotations

import argparse
import ctypes
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from azsim.errors import ConfigError
from azsim.rtl_check.coverage import Coverage
from azsim.rtl_check.lockstep import Inputs, Sample, run_model_alone
from azsim.rtl_check.scenarios import CONFIGURATIONS, Configuration, make_scenario
from azsim.rtl_check.sources import rtl_sources

BATCH_CYCLES = 20_000
INPUT_WORDS = 7  # flags, index, groups, data
OUTPUT_WORDS = 5  # flags, data

WRAPPER = r"""
#include "Vazsim_decoder.h"
#include "verilated.h"
#include <cstdint>
double sc_time_stamp() { return 0; }
extern "C" void* decoder_new() { return new Vazsim_decoder; }
extern "C" void decoder_delete(void* handle) { delete static_cast<Vazsim_decoder*>(handle); }
extern "C" void decoder_run(void* handle, int64_t cycles, const uint32_t* in, uint32_t* out) {
  Vazsim_decoder* d = static_cast<Vazsim_decoder*>(handle);
  for (int64_t t = 0; t < cycles; ++t, in += 7, out += 5) {
    d->clk_i = 0;
    d->rst_ni = in[0] & 1;
    d->in_valid_i = in[0] >> 1 & 1;
    d->in_last_i = in[0] >> 2 & 1;
    d->in_half_i = in[0] >> 3 & 1;
    d->in_table_i = in[0] >> 4 & 1;
    d->out_ready_i = in[0] >> 5 & 1;
    d->in_index_i = in[1];
    d->in_groups_i = in[2];
#if PORT_BITS == 64
    d->in_data_i = static_cast<uint64_t>(in[4]) << 32 | in[3];
#else
    for (int k = 0; k < 4; ++k) d->in_data_i[k] = in[3 + k];
#endif
    d->eval();
    out[0] = d->in_ready_o | d->out_valid_o << 1 | d->out_kind_o << 2 | d->out_count_o << 4 |
             d->out_last_o << 9 | d->out_error_o << 10;
    for (int k = 0; k < 4; ++k) out[1 + k] = d->out_data_o[k];
    d->clk_i = 1;
    d->eval();
  }
}
"""


def build(configuration: Configuration, rtl: Path | None, folder: Path) -> Path:
    """Compile the decoder to a shared library in `folder`; return its path."""
    for tool in ("verilator", "g++"):
        if shutil.which(tool) is None:
            raise ConfigError(
                f"rtl-volume: {tool} must be installed (Debian: apt-get install {tool})"
            )
    made = folder / "made"
    parameters = [f"-GPortBits={configuration.port_bits}"]
    parameters += [f"-GProfile={int(configuration.profile == 'ans')}"]
    sources = [str(path) for path in rtl_sources(rtl)]
    command = [
        "verilator",
        "--cc",
        "-sv",
        "-O3",
        "--x-assign",
        "fast",
        "--top-module",
        "azsim_decoder",
    ]
    _run([*command, *parameters, "--Mdir", str(made), *sources], folder)
    root = subprocess.run(
        ["verilator", "--getenv", "VERILATOR_ROOT"], capture_output=True, text=True, check=True
    ).stdout.strip()
    include = Path(root) / "include"
    wrapper = folder / "wrapper.cpp"
    wrapper.write_text(WRAPPER, encoding="utf-8")
    library = folder / "decoder.so"
    code = [*sorted(made.glob("*.cpp")), wrapper, include / "verilated.cpp"]
    code += [path for path in [include / "verilated_threads.cpp"] if path.is_file()]
    options = ["-O1", "-fPIC", "-shared", "-pthread", f"-DPORT_BITS={configuration.port_bits}"]
    options += [f"-I{made}", f"-I{include}", f"-I{include / 'vltstd'}"]
    _run(["g++", *options, *map(str, code), "-o", str(library)], folder)
    return library


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise ConfigError(
            f"rtl-volume: {command[0]} must take the sources: {lines[0] if lines else ''}"
        )


def input_words(inputs: Inputs) -> list[int]:
    """Return a cycle's inputs as the wrapper takes them."""
    word = inputs.word
    flags = (not inputs.reset) | inputs.valid << 1 | word.last << 2 | word.half << 3
    flags |= word.table << 4 | inputs.ready << 5
    data = [word.data >> 32 * k & 0xFFFFFFFF for k in range(4)]
    return [flags, word.tile_index, word.groups - 1, *data]


def output_words(inputs: Inputs, sample: Sample) -> list[int]:
    """Return the outputs expected in a cycle as the wrapper gives them."""
    if inputs.reset:
        return [0] * OUTPUT_WORDS
    beat = sample.beat
    if beat is None:
        return [int(sample.in_ready), 0, 0, 0, 0]
    error = beat.error if beat.last else 0
    flags = sample.in_ready | 2 | beat.kind << 2 | beat.count << 4 | beat.last << 9 | error << 10
    return [flags, *(beat.data >> 32 * k & 0xFFFFFFFF for k in range(4))]


def first_difference(
    inputs: NDArray[np.uint32], expected: NDArray[np.uint32], found: NDArray[np.uint32]
) -> int | None:
    """Return the first cycle in which the outputs are not the expected ones."""
    live = (inputs[:, :1] & 1) == 1
    valid = (expected[:, :1] & 2) == 2
    care = np.zeros(expected.shape, np.uint32)
    care[:, :1] = np.where(live, np.where(valid, 0xFFFFFFFF, 3), 0)
    care[:, 1:] = np.where(live & valid, 0xFFFFFFFF, 0)
    wrong = np.flatnonzero(((expected ^ found) & care).any(axis=1))
    return int(wrong[0]) if wrong.size else None


class Replay:
    """Collects cycles of scenarios and replays them on the compiled decoder."""

    def __init__(self, library: Path) -> None:
        self.code = ctypes.CDLL(str(library))
        self.code.decoder_new.restype = ctypes.c_void_p
        self.handle = ctypes.c_void_p(self.code.decoder_new())
        self.inputs: list[list[int]] = []
        self.outputs: list[list[int]] = []
        self.starts: list[tuple[int, str]] = []

    def add(self, label: str, inputs: Inputs, sample: Sample) -> None:
        """Add a cycle of the scenario `label`."""
        if not self.starts or self.starts[-1][1] != label:
            self.starts.append((len(self.inputs), label))
        self.inputs.append(input_words(inputs))
        self.outputs.append(output_words(inputs, sample))

    def flush(self) -> str | None:
        """Replay what was added; return the complaint or None."""
        given = np.array(self.inputs, np.uint32).reshape(-1, INPUT_WORDS)
        expected = np.array(self.outputs, np.uint32).reshape(-1, OUTPUT_WORDS)
        found = np.zeros_like(expected)
        pointer = ctypes.POINTER(ctypes.c_uint32)
        self.code.decoder_run(
            self.handle,
            ctypes.c_int64(len(given)),
            given.ctypes.data_as(pointer),
            found.ctypes.data_as(pointer),
        )
        starts, self.inputs, self.outputs, self.starts = self.starts, [], [], []
        cycle = first_difference(given, expected, found)
        if cycle is None:
            return None
        start, label = max(item for item in starts if item[0] <= cycle)
        return f"{label}: cycle {cycle - start} differs: azsim verify-rtl --replay {label}"

    def close(self) -> None:
        """End the decoder."""
        self.code.decoder_delete(self.handle)


def run_configuration(
    configuration: Configuration, cycles: int, seed: int, rtl: Path | None = None
) -> tuple[int, str | None]:
    """Run `cycles` cycles of a configuration; return (cycles compared, complaint or None)."""
    with tempfile.TemporaryDirectory(prefix="azsim-volume-") as folder:
        replay = Replay(build(configuration, rtl, Path(folder)))
        done = 0
        complaint = None
        for number in count():
            scenario = make_scenario(configuration, seed, number)
            for inputs, sample in run_model_alone(scenario, configuration, Coverage()):
                replay.add(scenario.label, inputs, sample)
                done += 1
            if len(replay.inputs) >= BATCH_CYCLES or done >= cycles:
                complaint = replay.flush()
                if complaint is not None or done >= cycles:
                    break
        replay.close()
    return done, complaint


def main() -> int:
    """Run all configurations; exit code 0 if all held, 1 if not, 2 on bad use."""
    parser = argparse.ArgumentParser(prog="rtl-volume", description=__doc__)
    parser.add_argument("--cycles", type=int, default=2_000_000, help="over all configurations")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rtl", type=Path, default=None)
    options = parser.parse_args()
    share = max(1, options.cycles // len(CONFIGURATIONS))
    start = time.monotonic()
    total, good = 0, True
    with ProcessPoolExecutor(max_workers=2) as pool:
        runs = {
            item.label: pool.submit(run_configuration, item, share, options.seed, options.rtl)
            for item in CONFIGURATIONS
        }
        for label, run in runs.items():
            try:
                cycles, complaint = run.result()
            except ConfigError as error:
                print(error, file=sys.stderr)
                return 2
            print(f"{label:<11} {cycles:>9} cycles  {complaint or 'pass'}", flush=True)
            total += cycles
            good = good and complaint is None
    seconds = time.monotonic() - start
    print(f"{total} cycles compared in {seconds:.0f} s: {'all held' if good else 'FAILED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
