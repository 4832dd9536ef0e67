"""Program files: there and back byte by byte; damaged and hostile files are refused in one line."""

from __future__ import annotations

import io
import json
import os
import re
import stat
import time
import zipfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from program_cases import CHIP_HASH, command, small_program

from azsim.errors import ConfigError, ModelError
from azsim.program import Program, disassemble, files, load_program, save_program
from azsim_kernels import isa

pytestmark = pytest.mark.small

Meta = dict[str, Any]
PARTS = ("commands", "tiles", "semaphore_kinds", "semaphore_initial", "dram", "store")


def saved(tmp_path: Path, program: Program | None = None) -> Path:
    path = tmp_path / "small.azp"
    save_program(program or small_program(), path)
    return path


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(path: Path, parts: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def assert_equal_programs(one: Program, other: Program) -> None:
    for field in fields(Program):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype, field.name
            np.testing.assert_array_equal(left, right)
        else:
            assert left == right, field.name


def test_a_program_comes_back_equal_and_can_be_written_to(tmp_path: Path) -> None:
    program = load_program(saved(tmp_path))
    assert_equal_programs(program, small_program())
    for name in PARTS:  # compiled kernels take arrays that may be written to
        array = getattr(program, name)
        assert array.flags.writeable
        assert array.flags.aligned


def test_saving_what_was_loaded_gives_the_same_bytes_at_any_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = saved(tmp_path)
    tomorrow = time.time() + 86400
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(tomorrow))
    again = tmp_path / "again.azp"
    save_program(load_program(first), str(again))
    assert again.read_bytes() == first.read_bytes()


def test_the_parts_are_plain_numpy_files(tmp_path: Path) -> None:
    with np.load(saved(tmp_path), allow_pickle=False) as archive:
        for name in PARTS:
            np.testing.assert_array_equal(archive[name], getattr(small_program(), name))


def test_a_file_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = saved(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


# -- writing ------------------------------------------------------------------------------------


def refuse_to_save(path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{re.escape(str(path))}: {re.escape(text)}$"):
        save_program(small_program(), path)


def test_only_plain_files_are_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    refuse_to_save(pipe, "must be a plain file, not a device or a pipe")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    refuse_to_save(tmp_path, "cannot be written: Is a directory")
    refuse_to_save(tmp_path / "no" / "x.azp", "cannot be written: No such file or directory")
    refuse_to_save(pipe / "x.azp", "cannot be written: No such file or directory")
    refuse_to_save(tmp_path / ("x" * 300), "cannot be written: File name too long")
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_link_stays_and_the_file_it_names_is_replaced(tmp_path: Path) -> None:
    real, link = tmp_path / "real.azp", tmp_path / "link.azp"
    real.write_bytes(b"old")
    link.symlink_to("real.azp")
    save_program(small_program(), link)
    assert link.is_symlink()
    assert_equal_programs(load_program(real), small_program())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(28, "No space left on device"), ConfigError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (MemoryError(), MemoryError),
    ],
)
def test_whatever_stops_the_writing_leaves_the_old_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    expected: type[BaseException],
) -> None:
    path = tmp_path / "small.azp"
    path.write_bytes(b"old")
    write = files._write

    def stop(archive: zipfile.ZipFile, name: str, *pieces: bytes) -> None:
        if name == "dram.npy":
            raise error
        write(archive, name, *pieces)

    monkeypatch.setattr(files, "_write", stop)
    with pytest.raises(expected) as caught:
        save_program(small_program(), path)
    if expected is ConfigError:
        assert str(caught.value) == f"{path}: cannot be written: No space left on device"
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["small.azp"]


# -- damaged and hostile files --------------------------------------------------------------------

SOUND = "must be a sound program file of azsim compile: "


def refused(path: Path, text: str) -> None:
    with pytest.raises(ModelError, match=rf"^{re.escape(str(path))}: {re.escape(text)}$"):
        load_program(path)


def test_what_is_no_plain_file_is_not_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    refused(pipe, "must be a plain file")  # reading it would wait for ever
    refused(tmp_path, "must be a plain file")
    refused(tmp_path / "none.azp", "cannot be read: No such file or directory")


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", b"not a program", b"\x93NUMPY\x01\x00", b"PK\x05\x06" + bytes(18), b"\x80\x04}."],
)
def test_other_files(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.azp"
    path.write_bytes(data)
    empty_zip = data.startswith(b"PK\x05")
    reason = "it must hold the parts of a program" if empty_zip else "it is cut short, damaged or"
    refused(path, SOUND + reason + ("" if empty_zip else " something else"))


def test_a_file_cut_short_anywhere(tmp_path: Path) -> None:
    path = saved(tmp_path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        refused(path, SOUND + "it is cut short, damaged or something else")


def test_one_wrong_bit_in_the_data_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path)
    whole = bytearray(path.read_bytes())
    whole[whole.index(bytes(range(256))) + 100] ^= 4
    path.write_bytes(whole)
    refused(path, SOUND + "it is cut short, damaged or something else")


def with_meta(change: Callable[[Meta], None]) -> Callable[[dict[str, bytes]], None]:
    def edit(parts: dict[str, bytes]) -> None:
        meta = json.loads(parts["meta.json"])
        change(meta)
        parts["meta.json"] = json.dumps(meta).encode()

    return edit


def entry(kind: str, name: str, value: Any) -> Callable[[dict[str, bytes]], None]:
    return with_meta(lambda meta: meta[kind][0].update({name: value}))


def top(name: str, value: Any) -> Callable[[dict[str, bytes]], None]:
    return with_meta(lambda meta: meta.update({name: value}))


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def array(name: str, value: np.ndarray | bytes) -> Callable[[dict[str, bytes]], None]:
    data = value if isinstance(value, bytes) else npy(value)
    return lambda parts: parts.update({f"{name}.npy": data})


def raw_meta(text: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda parts: parts.update({"meta.json": text})


VECTOR = "must be a vector of the program's record type"
OBJECT = "its description must be a JSON object"
DAMAGED = "its parts are damaged"
HOSTILE: list[tuple[str, Callable[[dict[str, bytes]], Any], str]] = [
    ("missing part", lambda p: p.pop("store.npy"), "it must hold the parts of a program"),
    ("more parts", lambda p: p.update(x=b""), "it must hold the parts of a program"),
    ("no JSON", raw_meta(b"{"), OBJECT),
    ("no UTF-8", raw_meta(b"\xff\xfe\xff"), OBJECT),
    ("list", raw_meta(b"[]"), OBJECT),
    ("deep", raw_meta(b"[" * 100_000), DAMAGED),
    ("long number", top("dram_bytes", 10**400), "dram_bytes must be an integer below 2^62"),
    ("name", top("name", 7), "name must be a text"),
    ("chip", top("chip", None), "chip must be a text"),
    ("hash", top("config_hash", []), "config_hash must be a text"),
    ("truth", top("dram_bytes", True), "dram_bytes must be an integer below 2^62"),
    ("fraction", top("abuf_bytes", 1.5), "abuf_bytes must be an integer below 2^62"),
    ("missing field", with_meta(lambda m: m.pop("layers")), DAMAGED),
    ("layers", top("layers", {}), "LayerInfo records must be a list"),
    (
        "layer field",
        with_meta(lambda m: m["layers"][0].pop("rows")),
        "a LayerInfo record must have the fields of its kind",
    ),
    ("layer name", entry("layers", "name", 1), "name must be a text"),
    ("layer size", entry("layers", "weights", "9"), "weights must be an integer below 2^62"),
    ("port", top("inputs", [3]), "a Port record must have the fields of its kind"),
    ("scale text", entry("outputs", "scale", "1"), "scale must be a finite number"),
    ("scale nan", entry("outputs", "scale", float("nan")), "scale must be a finite number"),
    ("scale huge", entry("outputs", "scale", 10**400), DAMAGED),
    (
        "scale zero",
        entry("outputs", "scale", 0),
        "program 'by hand': port 'y' must have a positive scale, not 0.0",
    ),
    (
        "element",
        entry("inputs", "element", "object"),
        "program 'by hand': port 'x' must be a non-empty int8/16/32 tensor",
    ),
    ("shape", entry("inputs", "shape", 8), "shape must be a list of at most 32 integers"),
    (
        "dimensions",
        entry("inputs", "shape", [1] * 33),
        "shape must be a list of at most 32 integers",
    ),
    (
        "2^64 elements",
        entry("inputs", "shape", [1 << 32, 1 << 32]),
        "program 'by hand': port 'x' must lie inside DRAM",
    ),
    ("state", entry("states", "bytes", None), "bytes must be an integer below 2^62"),
    ("metadata", top("metadata", []), "metadata must be a JSON object"),
    ("property", top("metadata", {"a": 1}), "metadata must be a text"),
    (
        "huge DRAM",
        top("dram_bytes", 1 << 50),
        "program 'by hand': DRAM bytes: needs 1125899906842624, the chip has 1099511627776",
    ),
    ("element type", array("dram", np.zeros(8, np.int8)), f"array dram {VECTOR}"),
    ("matrix", array("dram", np.zeros((8, 8), np.uint8)), f"array dram {VECTOR}"),
    ("objects", array("store", np.array([None])), f"array store {VECTOR}"),
    ("no array", array("tiles", b""), f"array tiles {VECTOR}"),
    ("half a header", array("tiles", b"\x93NUMPY\x01\x00\xff\xff{"), f"array tiles {VECTOR}"),
    (
        "half an element",
        array("semaphore_kinds", npy(np.zeros(2, np.int64))[:-4]),
        f"array semaphore_kinds {VECTOR}",
    ),
    (
        "opcode",
        array("commands", command(isa.LOAD, 0, 0, 8, opcode=200)),
        "program 'by hand': command 0 (opcode 200): opcode must be below 26",
    ),
    (
        "semaphore",
        array("semaphore_kinds", np.array([0, 9], np.int64)),
        "program 'by hand': semaphore kinds must be 0, 1 or 2",
    ),
]


@pytest.mark.parametrize(
    ("change", "text"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE]
)
def test_hostile_parts(
    tmp_path: Path, change: Callable[[dict[str, bytes]], Any], text: str
) -> None:
    path = saved(tmp_path)
    parts = members(path)
    change(parts)
    zipped(path, parts)
    refused(path, SOUND + text)


@pytest.mark.parametrize(("given", "shown"), [(2, "2"), (None, "None"), ("a\nb", r"'a\nb'")])
def test_another_version_says_what_to_do(tmp_path: Path, given: object, shown: str) -> None:
    path = saved(tmp_path)
    parts = members(path)
    top("format", given)(parts)
    zipped(path, parts)
    refused(path, f"program format must be 1, not {shown}; compile it again")


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = saved(tmp_path)
    parts = members(path)
    zipped(path, {**parts, "dram.npy": npy(np.zeros(1 << 24, np.uint8))}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 16
    refused(path, SOUND + "its parts must not be compressed")


def test_parts_that_overlap_are_refused(tmp_path: Path) -> None:
    """Directory entries that all name the same large part: a bomb without compression."""
    path = saved(tmp_path)
    whole = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        big = next(info for info in archive.infolist() if info.filename == "commands.npy")
    position = whole.index(b"PK\x01\x02")
    while whole[position : position + 4] == b"PK\x01\x02":
        lengths = [int.from_bytes(whole[position + at : position + at + 2], "little")
                   for at in (28, 30, 32)]  # fmt: skip
        size = (big.file_size * 4).to_bytes(4, "little")
        whole[position + 20 : position + 28] = size + size
        position += 46 + sum(lengths)
    path.write_bytes(whole)
    refused(path, SOUND + "its parts must not be compressed")


def check_any_file(path: Path) -> None:
    """Whatever `path` holds: one line, or a program that can be printed and saved."""
    try:
        program = load_program(path)
    except ModelError as error:
        text = str(error)
        assert text.startswith(f"{path}: ")
        assert "\n" not in text
        return
    lines = list(disassemble(program))
    assert len(lines) == 1 + len(program.semaphore_kinds) + len(program.commands)
    assert all("\n" not in line for line in lines)
    save_program(program, path.with_suffix(".again"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("whole"))


EDITS = st.lists(
    st.tuples(st.integers(0, 1 << 14), st.integers(0, 255) | st.none()), min_size=1, max_size=8
)


def edited(data: bytes, edits: list[tuple[int, int | None]]) -> bytes:
    """`data` with bytes changed, or taken out (None)."""
    changed = bytearray(data)
    for place, value in edits:
        if value is None:
            del changed[place % len(changed) : place % len(changed) + 1]
        elif changed:
            changed[place % len(changed)] = value
    return bytes(changed)


@given(edits=EDITS)
def test_any_damage_to_a_file(whole: Path, edits: list[tuple[int, int | None]]) -> None:
    path = whole.with_name("damaged.azp")
    path.write_bytes(edited(whole.read_bytes(), edits))
    check_any_file(path)


@given(name=st.sampled_from(["meta.json", *(f"{name}.npy" for name in PARTS)]), edits=EDITS)
def test_any_hostile_part_with_a_right_checksum(
    whole: Path, name: str, edits: list[tuple[int, int | None]]
) -> None:
    parts = members(whole)
    parts[name] = edited(parts[name], edits)
    path = whole.with_name("hostile.azp")
    zipped(path, parts)
    check_any_file(path)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(
    key=st.sampled_from(sorted(["format", "name", "layers", "inputs", "states", "metadata"])),
    field=st.sampled_from(["name", "shape", "element", "scale", "rows", "address", "bytes"]),
    value=JSON_VALUES,
)
def test_any_json_in_any_place(whole: Path, key: str, field: str, value: object) -> None:
    parts = members(whole)
    meta = json.loads(parts["meta.json"])
    if isinstance(meta[key], list) and field in meta[key][0]:
        meta[key][0][field] = value
    else:
        meta[key] = value
    parts["meta.json"] = json.dumps(meta).encode()
    path = whole.with_name("json.azp")
    zipped(path, parts)
    check_any_file(path)


# -- text ---------------------------------------------------------------------------------------


def test_disassembly_by_hand() -> None:
    lines = list(disassemble(small_program()))
    assert lines[:3] == [
        f"# program by hand for chip tiny ({CHIP_HASH})",
        "# semaphore s0: space, initially 2",
        "# semaphore s1: data, initially 0",
    ]
    assert lines[4] == "     1  dma_w1   FETCH     address=0 bytes=24 source=0 [- -> -]  ; dense"
    assert lines[5] == (
        "     2  decode1  TILE      slot=0 groups=1 tile_index=0 [s0x1 -> s1x1]  ; dense"
    )
    assert lines[8].endswith("STORE     dram_address=1032 abuf_address=16 bytes=8 [- -> -]  ; -")


def test_names_cannot_break_a_line_or_colour_the_screen() -> None:
    program = small_program(name="a\nb\x1b[31m", chip="\ud800")
    assert next(disassemble(program)) == f"# program a?b?[31m for chip ? ({CHIP_HASH})"
