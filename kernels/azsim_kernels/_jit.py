"""The only place of numba options.

`cache=True` alone is not safe: numba keys its cache by the file of the outer function, so an edit
in a helper of another file would keep returning the old machine code. The cache folder is therefore
keyed by a hash of all kernel sources. The setting is process-wide for numba.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def sources_hash() -> str:
    """Return a short hash over every source file of this package (16 hex digits)."""
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _writable_cache_root() -> Path:
    """Return a folder for compiled kernels: the user's cache, or a temporary one if that cannot be
    written."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    root = Path(home) / "azsim" / "kernels"
    try:
        root.mkdir(parents=True, exist_ok=True)
        if os.access(root, os.W_OK):
            return root
    except OSError:
        pass  # read-only home: compiled code goes to a private temporary folder instead
    return Path(tempfile.mkdtemp(prefix="azsim-kernels-"))


# Code compiled with bounds checks must not be taken for code without: numba's own key leaves that
# out.
_checked = "-bounds" if os.environ.get("NUMBA_BOUNDSCHECK") == "1" else ""
_settings: Any = importlib.import_module("numba.core.config")
_settings.CACHE_DIR = str(_writable_cache_root() / f"{sources_hash()}{_checked}")


def compiled_folder() -> Path | None:
    """The folder of compiled kernels, None if numba is told not to compile."""
    return None if _settings.DISABLE_JIT else Path(_settings.CACHE_DIR)


def kernel(function: F) -> F:
    """Compile `function` with the options every kernel shares: nopython, cached, no fast-math."""
    return numba.njit(cache=True, error_model="numpy", nogil=True)(function)  # type: ignore[no-any-return]
