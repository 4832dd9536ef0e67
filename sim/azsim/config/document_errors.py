"""One line for what is wrong in a YAML document of rows: memory parts and host traffic."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from azsim.config._yaml import Document, Path_, printable, shown_value


def document_message(detail: Any, document: Document) -> str:
    """Return the line that refuses `document` for `detail`, an error of pydantic."""
    kind, ctx = detail["type"], detail.get("ctx", {})
    path: Path_ = tuple(detail["loc"])
    if kind == "part_rule":
        path = tuple(int(key) if key.isdecimal() else key for key in ctx["keys"][0].split("."))
    shown = ".".join(_shown_parts(path, document))
    if kind == "missing":
        line = _line(path[:-1], document)
        return f"{document.where}{line}: {shown}: must be present"
    return f"{document.where}{_line(path, document)}: {shown}: {_text(detail)}"


def _shown_parts(path: Path_, document: Document) -> Iterable[str]:
    """Yield the parts of a key path, a row of the table by its name where it has one."""
    for depth, part in enumerate(path):
        name = None
        if isinstance(part, int) and depth == 1 and path[0] == "constraints":
            rows = document.tree.get("constraints")
            row = rows[part] if isinstance(rows, list) and part < len(rows) else None
            name = row.get("name") if isinstance(row, dict) else None
        yield printable(name) if isinstance(name, str) else printable(part)


def _line(path: Path_, document: Document) -> str:
    """Return `:line` of the key at `path`, or of the nearest key above it that has one."""
    while path:
        if path in document.lines:
            return f":{document.lines[path]}"
        inside = [line for key, line in document.lines.items() if key[: len(path)] == path]
        if inside:
            return f":{min(inside)}"
        path = path[:-1]
    return ""


_MUST_BE = {
    "extra_forbidden": "unknown key",
    "int_type": "must be an integer",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "string_pattern_mismatch": "must have only letters, digits and underscores",
}


def _text(detail: Any) -> str:
    kind, ctx = detail["type"], detail.get("ctx", {})
    if kind == "part_rule":
        return str(detail["msg"])
    if kind == "extra_forbidden":
        return "unknown key"
    must = detail["msg"]
    if kind in _MUST_BE:
        must = _MUST_BE[kind].format(**ctx)
    elif kind == "literal_error":
        must = "must be " + str(ctx["expected"]).replace("'", "")
    return f"{must}, not {shown_value(detail['input'])}"
