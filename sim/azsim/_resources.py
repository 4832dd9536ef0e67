"""Find the data folders that travel with azsim: `hw_configs` and `examples`.

A wheel carries them inside the package (`azsim/_data/...`, see `force-include` in pyproject.toml);
a checkout keeps them at its top, two folders above the package.
"""

from __future__ import annotations

from pathlib import Path

from azsim.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """Return the folder `name` ("hw_configs" or "examples") of this installation.

    Raises:
        ConfigError: neither the installed package nor a checkout around it has that folder.
    """
    packaged = _PACKAGE / "_data" / name
    if packaged.is_dir():
        return packaged
    checkout = _PACKAGE.parents[1]
    folder = checkout / name
    if (checkout / "pyproject.toml").is_file() and folder.is_dir():
        return folder
    raise ConfigError(f"azsim: the data folder {name!r} must be installed with it, and is missing")
