"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from azsim.errors import ConfigError


def part_beside(path: Path) -> Path:
    """Return a new name in the folder of `path`, for something that is not finished yet."""
    return path.with_name(f".azsim-{secrets.token_hex(6)}.part")


def cannot_write(path: Path, error: OSError) -> ConfigError:
    """Return the one line that says why `path` could not be written."""
    return ConfigError(f"{path}: cannot be written ({error.strerror or error})")


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Yield a temporary file name beside `path`; what is written there becomes `path` in one step.

    Raises:
        ConfigError: the file cannot be written; `path` then is what it was before.
    """
    temporary = part_beside(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)
