"""What is known of each job, one small file per job: written whole or not at all, never twice.

A file's name is the job's hash, so a result is found again by whatever plan asks for it, and never
by a changed model, chip or version of azsim. A file is one line of JSON and its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from azsim._atomic import cannot_write, replaced_file
from azsim.errors import CacheError
from azsim.sweep.jobs import Outcome

_LARGEST_BYTES = 1 << 22


class Journal:
    """Outcomes in the folder `folder`, which must exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Where the outcome of job `name` is or will be."""
        return self.folder / name[:2] / f"{name}.json"

    def find(self, name: str) -> Outcome | None:
        """Return the outcome of job `name`, None if there is none.

        Raises:
            CacheError: the file is damaged; the text names it.
        """
        path = self.path(name)
        try:
            with path.open("rb") as file:
                content = file.read(_LARGEST_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CacheError(f"{path}: cannot be read: {error.strerror or error}") from None
        try:
            text, _, check = content.decode("utf-8").rstrip("\n").rpartition("\n")
            if hashlib.sha256(text.encode()).hexdigest() != check:
                raise ValueError("another hash")
            fields = json.loads(text)
            if fields["name"] != name:
                raise ValueError("another job")
            return Outcome(fields["name"], fields["error"], fields["figures"])
        except (ValueError, LookupError, TypeError):
            raise CacheError(f"{path}: journal entry is damaged and must be deleted") from None

    def add(self, outcome: Outcome) -> None:
        """Write an outcome, down to the disk.

        Raises:
            ConfigError: it cannot be written; nothing is left of it.
        """
        path = self.path(outcome.name)
        fields = {"name": outcome.name, "error": outcome.error, "figures": dict(outcome.figures)}
        text = json.dumps(fields, ensure_ascii=True, allow_nan=False)
        check = hashlib.sha256(text.encode()).hexdigest()
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from None
        with replaced_file(path) as part, part.open("xb") as file:
            file.write(f"{text}\n{check}\n".encode())
            file.flush()
            os.fsync(file.fileno())  # a name without content is what a power cut would leave

    def tidy(self) -> None:
        """Remove what killed processes left half-written. Only while no other sweep runs here."""
        for part in self._parts():
            with suppress(OSError):
                part.unlink()

    def _parts(self) -> Iterator[Path]:
        yield from self.folder.glob("*/.azsim-*.part")
