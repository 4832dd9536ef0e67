"""A folder of finished results by content: small, bounded, safe with several processes.

An entry's name is the hash of everything that went into it, so an entry is never wrong, only
missing. Entries appear by rename, whole or not at all; the least recently used ones go when the
folder grows beyond its limit.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from azsim.errors import ConfigError

LIMIT_VARIABLE = "AZSIM_CACHE_MB"
_LIMIT_DIGITS = 9
DEFAULT_LIMIT_BYTES = 2 << 30
PART_SUFFIX = ".part"
STALE_PART_SECONDS = 3600.0


def open_cache() -> ContentCache:
    """The user's cache: folder `results` of $AZSIM_CACHE_DIR, at most $AZSIM_CACHE_MB large.

    Raises:
        ConfigError: $AZSIM_CACHE_MB is not a whole number.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    root = os.environ.get("AZSIM_CACHE_DIR") or os.path.join(home, "azsim")
    return ContentCache(Path(root) / "results", _limit_bytes())


def _limit_bytes() -> int:
    text = os.environ.get(LIMIT_VARIABLE)
    if text is None:
        return DEFAULT_LIMIT_BYTES
    if not (text.isascii() and text.isdecimal() and len(text) <= _LIMIT_DIGITS):
        raise ConfigError(f"${LIMIT_VARIABLE}: must be a whole number of MB, not '{text[:40]}'")
    return int(text) << 20


def content_key(parts: Iterable[bytes | memoryview | str]) -> str:
    """SHA-256 over `parts`, each with its length, as 64 hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        size = len(data) if isinstance(data, bytes) else data.nbytes
        digest.update(size.to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def content_parts(thing: Any) -> Iterator[bytes | memoryview | str]:
    """Yield everything that `thing` is made of, for `content_key`: frozen dataclasses, mappings in
    their order, sequences, arrays and plain values. A field added later is taken in by itself.

    Raises:
        TypeError: something of another type, which might be more than it shows.
    """
    if isinstance(thing, np.ndarray):
        yield f"array {thing.dtype.str} {thing.shape}"
        yield np.ascontiguousarray(thing).reshape(-1).view(np.uint8).data
    elif is_dataclass(thing) and not isinstance(thing, type):
        yield f"record {type(thing).__name__}"
        for field in fields(thing):
            yield from content_parts(getattr(thing, field.name))
    elif isinstance(thing, Mapping):
        yield f"mapping {len(thing)}"
        for item in thing.items():
            yield from content_parts(item)
    elif isinstance(thing, tuple | list):
        yield f"sequence {len(thing)}"
        for part in thing:
            yield from content_parts(part)
    elif isinstance(thing, str | bytes | bool | int | float | Enum | np.generic | None):
        yield f"{type(thing).__name__} {thing!r}"
    else:
        raise TypeError(f"cannot tell the content of a {type(thing).__name__}")


@lru_cache(maxsize=1)
def source_key() -> str:
    """Hash over azsim's own sources: another version of the program never meets old entries."""
    import azsim_kernels

    roots = (Path(__file__).parent, Path(azsim_kernels.__file__).parent)
    files = [path for root in roots for path in sorted(root.rglob("*.py"))]
    return content_key(path.read_bytes() for path in files)


class ContentCache:
    """Entries in one folder, files of any kind. In a folder that cannot be used, none is found."""

    def __init__(self, folder: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._folder, self._limit = folder, limit_bytes

    def find(self, name: str) -> Path | None:
        """Return the entry's file, marked as used, or None."""
        path = self._folder / name
        try:
            os.utime(path)
        except OSError:
            return None
        return path

    def store(self, name: str, write: Callable[[Path], None]) -> None:
        """Let `write` fill a new file and make it the entry; without room or rights: no entry."""
        part = self._folder / f"{secrets.token_hex(8)}{PART_SUFFIX}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                write(part)
                if part.stat().st_size <= self._limit:
                    os.replace(part, self._folder / name)
            finally:
                part.unlink(missing_ok=True)
            self._shrink()
        except OSError:
            return  # a full or read-only disk only costs time

    def _shrink(self) -> None:
        """Remove the least recently used entries beyond the limit, and parts nobody finished."""
        entries = []
        for path in self._folder.iterdir():
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # another process was quicker
            if path.suffix != PART_SUFFIX:
                entries.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in entries)
        newest = max((mtime for mtime, _, _ in entries), default=0.0)
        for _, size, path in sorted(entries, key=lambda entry: entry[:2]):
            if total <= self._limit:
                break
            path.unlink(missing_ok=True)
            total -= size
        for path in self._folder.glob(f"*{PART_SUFFIX}"):
            try:
                if newest - path.stat().st_mtime > STALE_PART_SECONDS:
                    path.unlink(missing_ok=True)
            except FileNotFoundError:
                continue
