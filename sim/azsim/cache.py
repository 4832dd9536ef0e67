"""A folder of finished results by content: small, bounded, safe with several processes.

An entry's name is the hash of everything that went into it, so an entry is never wrong, only
missing. Entries appear by rename, whole or not at all; the least recently used ones go when the
folder grows beyond its limit.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

DEFAULT_LIMIT_BYTES = 2 << 30
PART_SUFFIX = ".part"
STALE_PART_SECONDS = 3600.0


def cache_folder(kind: str) -> Path:
    """The folder of one kind of entries: $AZSIM_CACHE_DIR, else the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    root = os.environ.get("AZSIM_CACHE_DIR") or os.path.join(home, "azsim")
    return Path(root) / kind


def content_key(parts: Iterable[bytes | memoryview | str]) -> str:
    """SHA-256 over `parts`, each with its length, as 64 hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        size = len(data) if isinstance(data, bytes) else data.nbytes
        digest.update(size.to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


@lru_cache(maxsize=1)
def source_key() -> str:
    """Hash over azsim's own sources: another version of the program never meets old entries."""
    import azsim_kernels

    roots = (Path(__file__).parent, Path(azsim_kernels.__file__).parent)
    files = [path for root in roots for path in sorted(root.rglob("*.py"))]
    return content_key(path.read_bytes() for path in files)


class ContentCache:
    """Entries of one kind in one folder. In a folder that cannot be used, nothing is found."""

    def __init__(self, folder: Path, suffix: str, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._folder, self._suffix, self._limit = folder, suffix, limit_bytes

    def find(self, key: str) -> Path | None:
        """Return the entry's file, marked as used, or None."""
        path = self._folder / f"{key}{self._suffix}"
        try:
            os.utime(path)
        except OSError:
            return None
        return path

    def store(self, key: str, write: Callable[[Path], None]) -> None:
        """Let `write` fill a new file and make it the entry; without room or rights: no entry."""
        part = self._folder / f"{secrets.token_hex(8)}{PART_SUFFIX}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                write(part)
                if part.stat().st_size <= self._limit:
                    os.replace(part, self._folder / f"{key}{self._suffix}")
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
            if path.suffix == self._suffix:
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
