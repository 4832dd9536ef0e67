"""Memory parts: the timing of one LPDDR channel as a file of rows (hw_configs/memory).

Errors have the form of chip files, with the name of the row:

    bad.yaml:31: constraints.tRAS.clocks: must be at most tRC (97), not 98
"""

from __future__ import annotations

import difflib
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError, model_validator
from pydantic_core import PydanticCustomError

from azsim._resources import data_folder
from azsim.config._yaml import parse_document, printable, read_text
from azsim.config.document_errors import document_message
from azsim.config.memory_keys import PartKeys
from azsim.config.memory_rules import check_part
from azsim.errors import ConfigError


class MemoryPart(PartKeys):
    """One channel of one device."""

    @model_validator(mode="after")
    def _rows_fit_together(self) -> MemoryPart:
        broken = check_part(self)
        if broken is not None:
            raise PydanticCustomError(
                "part_rule", "{text}", {"text": broken.text, "keys": [".".join(broken.keys)]}
            )
        return self


def part_names() -> list[str]:
    """Return the names of the parts that come with azsim, sorted."""
    return sorted(path.stem for path in (data_folder("hw_configs") / "memory").glob("*.yaml"))


def is_part_path(text: str) -> bool:
    """Say whether `text` is the path of a part file and not a name."""
    return "/" in text or "\\" in text or text.endswith((".yaml", ".yml"))


def is_shipped_part(part: MemoryPart) -> bool:
    """Say whether `part` is what its name stands for."""
    return part.name in part_names() and load_part(part.name) == part


def load_part(name_or_path: str | Path) -> MemoryPart:
    """Return the part `name_or_path`: a shipped part's name, or the path of a part file.

    Raises:
        ConfigError: one line with file, line, row and key, and what it must be.
    """
    if isinstance(name_or_path, Path) or is_part_path(name_or_path):
        path = Path(name_or_path)
        return parse_part(read_text(path), printable(path))
    names = part_names()
    if name_or_path not in names:
        close = difflib.get_close_matches(name_or_path, names, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ConfigError(
            f"memory part '{printable(name_or_path)}': must be one of {', '.join(names)}{hint}"
        )
    return _shipped_part(name_or_path)


@lru_cache(maxsize=16)  # a part takes longer to read than the rest of a chip
def _shipped_part(name: str) -> MemoryPart:
    path = data_folder("hw_configs") / "memory" / f"{name}.yaml"
    return parse_part(read_text(path), f"memory/{path.name}")


def parse_part(text: str, where: str) -> MemoryPart:
    """Return the part that YAML `text` describes; errors name the file `where`. See `load_part`."""
    document = parse_document(text, where)
    try:
        return MemoryPart.model_validate(document.tree)
    except ValidationError as error:
        details = sorted(error.errors(), key=lambda d: d["type"] != "extra_forbidden")
        raise ConfigError(document_message(details[0], document)) from None
