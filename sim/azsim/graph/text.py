"""How names and shapes appear in messages: always on one line, always of bounded length."""

from __future__ import annotations

from collections.abc import Iterable

MAX_NAME_CHARACTERS = 80  # a file may hold names of any length


def one_line(text: str) -> str:
    """Return `text` with every unprintable character (line ends too) replaced by '?'."""
    return "".join(c if c.isprintable() else "?" for c in text)


def quoted(name: str) -> str:
    """Return a name in single quotes, on one line, cut to `MAX_NAME_CHARACTERS`."""
    short = name if len(name) <= MAX_NAME_CHARACTERS else name[: MAX_NAME_CHARACTERS - 3] + "..."
    return f"'{one_line(short)}'"


def shape_text(shape: Iterable[int]) -> str:
    """Return a shape as `(4, 1, 24)`; at most eight entries are shown."""
    entries = list(shape)
    shown = ", ".join(str(entry) for entry in entries[:8])
    return f"({shown}, ...)" if len(entries) > 8 else f"({shown})"
