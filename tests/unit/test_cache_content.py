"""The cache folder: names by content, whole entries only, a bound, several processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import process_environment
from hypothesis import given
from hypothesis import strategies as st
from onnx_models import ModelMaker

from azsim.cache import (
    DEFAULT_LIMIT_BYTES,
    STALE_PART_SECONDS,
    ContentCache,
    content_key,
    content_parts,
    open_cache,
    source_key,
)
from azsim.compiler.cached import graph_key
from azsim.errors import ConfigError
from azsim.frontend import read_onnx
from azsim.graph import Graph, Quantization, Value, ValueKind

pytestmark = pytest.mark.small


def writer(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.is_dir() else []


# -- names by content -----------------------------------------------------------------------------


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True)
class Record:
    name: str
    data: Any = None


THINGS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, width=16)
    | st.text("ab", max_size=3)
    | st.binary(max_size=2)
    | st.sampled_from(Colour),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text("ab", max_size=2), inner, max_size=2)
        | st.builds(Record, st.text("ab", max_size=2), inner)
    ),
    max_leaves=6,
)


def canonical(thing: Any) -> str:
    """A text that is equal exactly for equal things; lists and tuples count as the same."""
    if isinstance(thing, list | tuple):
        return f"[{','.join(map(canonical, thing))}]"
    if isinstance(thing, dict):
        return f"{{{','.join(f'{k!r}:{canonical(v)}' for k, v in thing.items())}}}"
    if isinstance(thing, Record):
        return f"Record({thing.name!r},{canonical(thing.data)})"
    return f"{type(thing).__name__} {thing!r}"


def key(thing: Any) -> str:
    return content_key(content_parts(thing))


@given(THINGS, THINGS)
def test_equal_content_and_only_that_has_an_equal_name(one: Any, other: Any) -> None:
    assert (key(one) == key(other)) == (canonical(one) == canonical(other))


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_where_parts_begin_is_part_of_the_name(one: list[bytes], other: list[bytes]) -> None:
    assert (content_key(one) == content_key(other)) == (one == other)


def test_arrays_are_told_apart_by_type_shape_and_bytes() -> None:
    array = np.arange(6, dtype=np.int16)
    others = [
        array.astype(np.uint16),
        array.reshape(2, 3),
        array.reshape(3, 2),
        array[::-1],
        np.arange(6, dtype=">i2"),
    ]
    assert len({key(a) for a in [array, *others]}) == 6
    assert key(array) == key(np.arange(12, dtype=np.int16)[:6].copy())
    assert key(np.arange(12, dtype=np.int16)[::2]) == key(np.arange(0, 12, 2, dtype=np.int16))
    assert key(np.zeros((0, 3))) != key(np.zeros((3, 0)))


def test_what_might_be_more_than_it_shows_has_no_name() -> None:
    with pytest.raises(TypeError, match=r"^cannot tell the content of a object$"):
        key([1, object()])


def quantized_graph(folder: Path, scale: float) -> Graph:
    """x on a grid of the model's own, times a matrix."""
    maker = ModelMaker()
    maker.input("x", [1, 8])
    maker.tensor("s", scale)
    maker.tensor("z", 0, np.int8)
    maker.node("QuantizeLinear", ["x", "s", "z"], ["q"], name="quantize")
    maker.node("DequantizeLinear", ["q", "s", "z"], ["d"], name="numbers")
    maker.node("MatMul", ["d", maker.tensor("W", np.eye(8))], ["y"], name="same")
    maker.output("y", [1, 8])
    return read_onnx(maker.save(folder))


def test_graphs_that_differ_only_in_a_grid_have_other_names(tmp_path: Path) -> None:
    """A program found under the name of another grid would give wrong integers in silence."""
    one, again, other = (quantized_graph(tmp_path, scale) for scale in (0.5, 0.5, 0.25))
    assert graph_key(one) == graph_key(again)
    assert graph_key(one) != graph_key(other)


def test_everything_of_a_graph_is_in_its_name() -> None:
    data = np.ones((2, 2), np.float32)
    value = Value("w", (2, 2), ValueKind.CONSTANT, data)
    graph = Graph("g", (), {"w": value}, ("x",), ("y",))
    changed = [
        replace(graph, name="h"),
        replace(graph, inputs=("z",)),
        replace(graph, metadata={"azsim.seed": "1"}),
        replace(graph, values={"w": replace(value, data=data * 2)}),
        replace(graph, values={"w": replace(value, is_index=True)}),
        replace(graph, values={"w": replace(value, quantization=Quantization("int8", 0.5, 0))}),
    ]
    assert len({graph_key(g) for g in [graph, *changed]}) == 1 + len(changed)


def test_the_sources_are_hashed_once_and_change_nothing_by_themselves() -> None:
    assert source_key() == source_key()
    assert len(source_key()) == 64


# -- entries --------------------------------------------------------------------------------------


def test_an_entry_is_found_after_it_was_stored(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path / "deep" / "cache")
    assert cache.find("a.bin") is None
    cache.store("a.bin", writer(b"content"))
    found = cache.find("a.bin")
    assert found is not None
    assert found.read_bytes() == b"content"
    assert cache.find("b.bin") is None
    cache.store("a.bin", writer(b"again"))
    assert found.read_bytes() == b"again"
    assert names(tmp_path / "deep" / "cache") == ["a.bin"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), ValueError("a fault")])
def test_a_writer_that_stops_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def write(path: Path) -> None:
        path.write_bytes(b"half")
        raise error

    with pytest.raises(type(error)):
        ContentCache(tmp_path).store("a.bin", write)
    assert names(tmp_path) == []


def test_a_full_disk_only_costs_time(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    cache = ContentCache(tmp_path)
    cache.store("a.bin", write)
    assert names(tmp_path) == []
    assert cache.find("a.bin") is None


def test_a_folder_that_cannot_be_used_is_an_empty_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/azsim-cache")):
        cache = ContentCache(folder)
        cache.store("a.bin", writer(b"content"))
        assert cache.find("a.bin") is None
    assert (tmp_path / "file").read_text() == "in the way"


def aged(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def test_the_least_recently_used_entries_go_first(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path, limit_bytes=300)
    for age, name in ((30, "old"), (20, "older but used"), (10, "new")):
        cache.store(name, writer(bytes(100)))
        aged(tmp_path / name, age)
    assert cache.find("older but used") is not None
    cache.store("newest", writer(bytes(100)))
    assert names(tmp_path) == ["new", "newest", "older but used"]
    cache.store("large", writer(bytes(250)))
    assert names(tmp_path) == ["large"]


def test_an_entry_larger_than_the_bound_is_not_kept_and_drives_nothing_out(
    tmp_path: Path,
) -> None:
    cache = ContentCache(tmp_path, limit_bytes=300)
    cache.store("small", writer(bytes(100)))
    cache.store("too large", writer(bytes(301)))
    assert names(tmp_path) == ["small"]
    none = ContentCache(tmp_path / "none", limit_bytes=0)
    none.store("any", writer(b"x"))
    assert names(tmp_path / "none") == []


def test_parts_that_nobody_finished_go_after_a_while(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path)
    for name, age in (("dead.part", STALE_PART_SECONDS + 60), ("alive.part", 60.0)):
        (tmp_path / name).write_bytes(b"half")
        aged(tmp_path / name, age)
    cache.store("a.bin", writer(b"content"))
    assert names(tmp_path) == ["a.bin", "alive.part"]


# -- the user's settings --------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "-1", "1.5", "two", "1e3", "٣", "9" * 5000, " 1"])
def test_a_bound_that_is_no_number_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZSIM_CACHE_MB", text)
    with pytest.raises(ConfigError) as caught:
        open_cache()
    assert str(caught.value) == f"$AZSIM_CACHE_MB: must be a whole number of MB, not '{text[:40]}'"


def test_where_the_cache_is_and_how_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZSIM_CACHE_MB", raising=False)
    monkeypatch.delenv("AZSIM_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    open_cache().store("a", writer(b"x"))
    assert names(tmp_path / "xdg" / "azsim" / "results") == ["a"]
    monkeypatch.setenv("AZSIM_CACHE_DIR", str(tmp_path / "mine"))
    open_cache().store("b", writer(b"x"))
    assert names(tmp_path / "mine" / "results") == ["b"]
    monkeypatch.setenv("AZSIM_CACHE_MB", "1")
    open_cache().store("c", writer(bytes(1 << 20)))
    assert names(tmp_path / "mine" / "results") == ["c"]
    assert DEFAULT_LIMIT_BYTES == 2 << 30


# -- several processes ----------------------------------------------------------------------------

WORKER = """
import random
import sys
from pathlib import Path
from azsim.cache import ContentCache
turns = random.Random(sys.argv[2])
cache = ContentCache(Path(sys.argv[1]), limit_bytes=60_000)
seen = 0
for turn in range(150):
    name = f"entry{turns.randrange(12)}"
    path = cache.find(name)
    if path is not None:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue  # another process made room
        assert data == name.encode() * 1000, (name, len(data))
        seen += 1
    cache.store(name, lambda part: part.write_bytes(name.encode() * 1000))
print(seen)
"""


def test_processes_share_a_folder(tmp_path: Path) -> None:
    """Writers, readers and room-makers at once: no error, no half entry, no bound broken."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path / "cache"), str(number)],
            env=process_environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(3)
    ]
    results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], results
    # Eight of the twelve entries fit, so even a process that runs alone meets most of them.
    assert all(int(out) > 30 for out, _ in results), results
    left = list((tmp_path / "cache").iterdir())
    assert all(path.name.startswith("entry") for path in left)
    assert sum(path.stat().st_size for path in left) <= 60_000
