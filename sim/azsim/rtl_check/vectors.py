"""Tiles as text that a Verilog bench reads with $readmemh.

A folder of vectors holds `manifest.json` and per case

    NAME_words.hex   the tile's 64-bit words
    NAME_beats.hex   what must come out, one beat per line of 35 digits:
                     error 4 bits, last 1, count 5, kind 2, data 128
    NAME_cycles64.hex, NAME_cycles128.hex
                     the cycle in which each of these beats stands at the output, one per line, for
                     either port width; the first word is taken in cycle 0

The manifest lists the cases in the order they are sent (records before the tiles that use them),
with index, groups, code, and cycles from the first word to the last beat fired at either port
width. All cycles: words and output never waiting, and each case sent when the one before it has
come out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from azsim.errors import ConfigError, StreamError
from azsim.rtl_check.cases import Case
from azsim.rtl_check.lockstep import port_words
from azsim.rtl_check.scenarios import PROFILES
from azsim_kernels.clocked.decoder_rtl import DecoderRtl, OutputBeat
from azsim_kernels.tile_format import MAX_LENGTH_WORDS

MANIFEST = "manifest.json"
VERSION = 1
MAX_CASES = 10_000
_WORD = re.compile(r"[0-9a-fA-F]{1,16}")


@dataclass(frozen=True)
class Expected:
    """What a decoder makes of a case: its beats, and the cycles to the last one that fired.

    `times`: per beat the cycle in which it stands at the output, the first word taken in cycle 0.
    """

    beats: list[OutputBeat]
    cycles: int
    times: list[int]

    @property
    def code(self) -> int:
        """The tile's status code."""
        return self.beats[-1].error


def expected(cases: Sequence[Case], profile: str, port_bits: int) -> Iterator[Expected]:
    """Yield what the clocked model makes of each case, one after the other, nothing waiting."""
    model = DecoderRtl(port_bits, PROFILES[profile])
    for case in cases:
        words = port_words(case, port_bits, Random(0))
        beats: list[OutputBeat] = []
        times: list[int] = []
        cycles = fired = position = 0
        while not beats or not beats[-1].last:
            if model.output is not None:
                beats.append(model.output)
                times.append(cycles)
            word = words[position] if position < len(words) else None
            position += model.in_ready and word is not None
            model.tick(word, True)
            cycles += 1
            fired = cycles if model.fired is not None else fired
        yield Expected(beats, fired, times)


def beat_digits(beat: OutputBeat) -> str:
    """Return a beat as 35 hexadecimal digits."""
    flags = beat.kind | beat.count << 2 | beat.last << 7 | (beat.error if beat.last else 0) << 8
    return f"{flags:03x}{beat.data:032x}"


def write_vectors(folder: Path, cases: Sequence[Case], profile: str) -> list[Path]:
    """Write `cases` to `folder`; return the files written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _write(folder, cases, profile)
    except OSError as error:
        raise ConfigError(f"{folder}: must be a folder to write to: {error.strerror}") from error


def _write(folder: Path, cases: Sequence[Case], profile: str) -> list[Path]:
    narrow, wide = (list(expected(cases, profile, bits)) for bits in (64, 128))
    entries = []
    paths = []
    for number, case in enumerate(cases):
        stem = f"{number:03d}_{'table' if case.table else 'tile'}"
        words = "".join(f"{word:016x}\n" for word in case.words)
        beats = "".join(f"{beat_digits(beat)}\n" for beat in narrow[number].beats)
        texts = {
            "words": words,
            "beats": beats,
            "cycles64": "".join(f"{time:08x}\n" for time in narrow[number].times),
            "cycles128": "".join(f"{time:08x}\n" for time in wide[number].times),
        }
        for name, text in texts.items():
            paths.append(folder / f"{stem}_{name}.hex")
            _replace(paths[-1], text)
        entries.append(
            {
                "name": stem,
                "what": case.name,
                "tile_index": case.tile_index,
                "groups": case.groups,
                "table": case.table,
                "code": narrow[number].code,
                "cycles": {"64": narrow[number].cycles, "128": wide[number].cycles},
            }
        )
    paths.append(folder / MANIFEST)
    manifest = {"version": VERSION, "profile": profile, "cases": entries}
    _replace(paths[-1], json.dumps(manifest, indent=1) + "\n")
    return paths


def _replace(path: Path, text: str) -> None:
    """Write a file under a temporary name, then rename it."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def load_vectors(folder: Path) -> tuple[str, list[Case]]:
    """Return (profile, cases) of a folder of vectors; StreamError if it is not one."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StreamError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise StreamError(f"{path}: must be JSON") from error
    if not isinstance(manifest, dict) or manifest.get("version") != VERSION:
        raise StreamError(f"{path}: must be a manifest of version {VERSION}")
    profile = manifest.get("profile")
    entries = manifest.get("cases")
    if profile not in PROFILES:
        raise StreamError(f"{path}: profile must be one of {', '.join(PROFILES)}")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_CASES:
        raise StreamError(f"{path}: cases must be a list of 1 to {MAX_CASES}")
    return profile, [_load_case(folder, path, entry) for entry in entries]


def _load_case(folder: Path, manifest: Path, entry: object) -> Case:
    """Return the case of one entry of a manifest."""
    if not isinstance(entry, dict):
        raise StreamError(f"{manifest}: each case must be an object")
    name = entry.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"\w{1,80}", name):
        raise StreamError(f"{manifest}: name must be 1 to 80 letters, digits and _")
    index, groups, table = (entry.get(key) for key in ("tile_index", "groups", "table"))
    if type(index) is not int or not 0 <= index < 1 << 32:
        raise StreamError(f"{manifest}: {name}: tile_index must be 0 to {(1 << 32) - 1}")
    if type(groups) is not int or not 1 <= groups <= 256:
        raise StreamError(f"{manifest}: {name}: groups must be 1 to 256")
    if type(table) is not bool:
        raise StreamError(f"{manifest}: {name}: table must be true or false")
    words = _load_words(folder / f"{name}_words.hex")
    return Case(str(entry.get("what", name))[:200], tuple(words), index, groups, table)


def _load_words(path: Path) -> list[int]:
    """Return the 64-bit words of a $readmemh file without comments."""
    try:
        with path.open(encoding="utf-8") as file:
            lines = file.read(20 * (MAX_LENGTH_WORDS + 16)).split()
    except (OSError, UnicodeDecodeError) as error:
        raise StreamError(f"{path}: must be a text file that can be read") from error
    if not 1 <= len(lines) <= MAX_LENGTH_WORDS:
        raise StreamError(f"{path}: must hold 1 to {MAX_LENGTH_WORDS} words, not {len(lines)}")
    for number, line in enumerate(lines, 1):
        if not _WORD.fullmatch(line):
            raise StreamError(f"{path}:{number}: must be 1 to 16 hexadecimal digits")
    return [int(line, 16) for line in lines]
