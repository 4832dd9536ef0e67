"""Output files that appear whole or not at all, and never in the place of something else."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from azsim.errors import ConfigError


def output_place(path: Path) -> Path:
    """Return where `path` leads to, if a file can be written there; links are followed.

    A rename replaces whatever has the name: a device or a pipe would be gone, so only plain files
    and new names are taken.

    Raises:
        ConfigError: a folder, a device or a pipe; a missing folder or one without rights.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if target.exists() and not target.is_file():
            raise ConfigError(f"{path}: must be a plain file, not a device or a pipe")
        if not target.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if not os.access(target.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise cannot_write(path, error) from None
    return target


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Yield a new name in the folder of `path`; what is written there becomes `path` in one step.

    Raises:
        ConfigError: the file cannot be written; `path` then is what it was before.
    """
    target = output_place(path)
    part = target.with_name(f".azsim-{secrets.token_hex(6)}.part")
    try:
        yield part
        os.replace(part, target)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        with suppress(OSError):  # renamed already, or its folder has gone
            part.unlink()


def save_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all. Raises ConfigError if it cannot be written."""
    # a name from a model file may hold half of a surrogate pair, which UTF-8 has no bytes for
    with replaced_file(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


def cannot_write(path: Path, error: OSError) -> ConfigError:
    """The error of a file that cannot be written."""
    return ConfigError(f"{path}: cannot be written: {error.strerror or error}")
