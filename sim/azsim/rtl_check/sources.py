"""Which files a decoder is built from, and whether the tools to build it are there."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from azsim._resources import data_folder
from azsim.errors import ConfigError

DEFAULT_TOP = "azsim_decoder"
FILE_LIST = "azsim_decoder.f"


def rtl_sources(folder: Path | None) -> list[Path]:
    """Return the files of the decoder in `folder` (a copy of rtl/), lowest level first.

    The files of decoder/azsim_decoder.f come first, then any others of decoder/src: a top of the
    user's own may stand there.
    """
    folder = data_folder("rtl") if folder is None else folder
    decoder = folder.resolve() / "decoder"
    file_list = decoder / FILE_LIST
    try:
        lines = file_list.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--rtl: {folder}: must be a copy of rtl/ with decoder/{FILE_LIST}"
        ) from error
    listed = [decoder / line.strip() for line in lines if line.strip() and line[0] not in "#/+-"]
    for path in listed:
        if not path.is_file():
            raise ConfigError(f"{file_list}: {path.name} must be a file of {path.parent}")
    others = sorted(set((decoder / "src").glob("*.sv")) - set(listed))
    return [*listed, *others]


def require_tools() -> None:
    """Raise ConfigError unless Icarus Verilog and cocotb are installed."""
    if shutil.which("iverilog") is None or shutil.which("vvp") is None:
        raise ConfigError(
            "verify-rtl: Icarus Verilog must be installed (Debian: apt-get install iverilog)"
        )
    if importlib.util.find_spec("cocotb_tools") is None:
        raise ConfigError("verify-rtl: cocotb must be installed (pip install 'azsim[rtl]')")
    from find_libpython import find_libpython

    if find_libpython() is None:
        raise ConfigError(
            "verify-rtl: the shared library of Python must be installed (Debian: apt-get install "
            "libpython3.11)"
        )
