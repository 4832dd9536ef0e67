"""Load a chip: file -> tree -> overrides -> checked `ChipConfig`, with one form for every error.

bad.yaml:4: mac_array.row: unknown key (did you mean 'rows'?)
bad.yaml: mac_array.lanes: must be present
override 'mac_array.lanes=0': mac_array.lanes: must be at least 1, not 0
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from azsim._resources import data_folder
from azsim.config._block import Block
from azsim.config._yaml import (
    Document,
    Path_,
    dotted,
    parse_document,
    parse_scalar,
    printable,
    read_text,
    shown_value,
)
from azsim.config.chip import ChipConfig
from azsim.config.memory_part import is_part_path, is_shipped_part
from azsim.errors import ChipRuleError, ConfigError

_UNKNOWN_KEY_ERRORS = frozenset({"extra_forbidden", "invalid_key"})
_MISSING_ERRORS = frozenset({"missing", "chip_missing"})
_TYPE_NAMES = {
    "int_type": "an integer",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def chip_names() -> list[str]:
    """Return the names of the chips that come with azsim, sorted."""
    return sorted(path.stem for path in data_folder("hw_configs").glob("*.yaml"))


def load_chip(name_or_path: str | Path, overrides: Sequence[str] = ()) -> ChipConfig:
    """Return the chip `name_or_path`: a shipped chip's name, or the path of a chip file.

    Text with a slash, or ending in .yaml or .yml, is a path. Each override is `section.key=value`
    with the value written as in YAML; later ones win.

    Raises:
        ConfigError: one line that names the file and line (or the override), the key, and what it
            must be.
    """
    path = _chip_path(name_or_path)
    where = path.name if path.parent == data_folder("hw_configs") else printable(path)
    document = parse_document(read_text(path), where)
    _find_part_beside(document, path.parent)
    return _validated(document, overrides)


def parse_chip(text: str, where: str, overrides: Sequence[str] = ()) -> ChipConfig:
    """Return the chip that YAML `text` describes; errors name the file `where`. See `load_chip`."""
    return _validated(parse_document(text, where), overrides)


def override_chip(chip: ChipConfig, overrides: Sequence[str]) -> ChipConfig:
    """Return `chip` with `overrides` ("section.key=value") applied and checked. See `load_chip`."""
    return _validated(Document(f"chip {chip.name}", chip.model_dump()), overrides)


def chip_to_yaml(chip: ChipConfig) -> str:
    """Return `chip` as the text of a chip file; loading it gives an equal chip."""
    tree = chip.model_dump()
    lpddr = chip.memory.lpddr
    if lpddr is None:
        del tree["memory"]["lpddr"]
    else:
        tree["memory"]["lpddr"]["mapping"] = "-".join(lpddr.mapping)
        if is_shipped_part(lpddr.part):
            tree["memory"]["lpddr"]["part"] = lpddr.part.name
    return yaml.safe_dump(tree, sort_keys=False, default_flow_style=False, width=120)


def _find_part_beside(document: Document, folder: Path) -> None:
    """Let the path of a memory part that a chip file names begin in the file's folder."""
    memory = document.tree.get("memory")
    lpddr = memory.get("lpddr") if isinstance(memory, dict) else None
    part = lpddr.get("part") if isinstance(lpddr, dict) else None
    if isinstance(lpddr, dict) and isinstance(part, str) and is_part_path(part):
        lpddr["part"] = str(folder / part)


def _chip_path(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    if (
        isinstance(name_or_path, Path)
        or "/" in text
        or "\\" in text
        or text.endswith((".yaml", ".yml"))
    ):
        return Path(name_or_path)
    names = chip_names()
    if text not in names:
        close = difflib.get_close_matches(text, names, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ConfigError(
            f"chip '{printable(text)}': must be one of {', '.join(names)}, "
            f"or the path of a .yaml file{hint}"
        )
    return data_folder("hw_configs") / f"{text}.yaml"


def _validated(document: Document, overrides: Sequence[str]) -> ChipConfig:
    origins: dict[Path_, str] = {}
    for override in overrides:
        _apply_override(document.tree, override, origins)
    try:
        return ChipConfig.model_validate(document.tree)
    except ValidationError as error:
        # Unknown keys first: a misspelt key is also a missing one, and its line helps more.
        details = sorted(error.errors(), key=lambda d: d["type"] not in _UNKNOWN_KEY_ERRORS)
        kind = ChipRuleError if details[0]["type"] == "chip_rule" else ConfigError
        raise kind(_message(details[0], document, origins)) from None


def _apply_override(tree: dict[Any, Any], override: str, origins: dict[Path_, str]) -> None:
    where = f"override '{printable(override)}'"
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise ConfigError(f"{where}: must have the form section.key=value")
    path = tuple(
        int(part) if part.isdecimal() and part.isascii() and len(part) < 9 else part
        for part in key.split(".")
    )
    try:
        value = parse_scalar(text)
    except ValueError as error:
        raise ConfigError(f"{where}: must have one plain value after '='") from error
    section = tree
    for depth, part in enumerate(path[:-1], start=1):
        child = section.setdefault(part, {})
        if not isinstance(child, dict):
            raise ConfigError(
                f"{where}: {dotted(path[:depth])}: must be a section to have a key in it"
            )
        section = child
    section[path[-1]] = value
    origins[path] = where


def _message(detail: Any, document: Document, origins: dict[Path_, str]) -> str:
    path = _key_path(detail)
    kind = detail["type"]
    if kind in _MISSING_ERRORS:
        return f"{document.where}: {dotted(path)}: must be present"
    keys = [tuple(key.split(".")) for key in detail.get("ctx", {}).get("keys", ())] or [path]
    if kind == "part_rule":  # its keys begin in the part
        keys = [(*path, *key) for key in keys]
    return f"{_origin(keys, document, origins)}: {dotted(keys[0])}: {_text(detail, path)}"


def _key_path(detail: Any) -> Path_:
    path = tuple(part for part in detail["loc"] if part != "[key]")
    if detail["type"] == "chip_missing":
        return (*path, detail["ctx"]["key"])
    return path


def _origin(keys: Sequence[Path_], document: Document, origins: dict[Path_, str]) -> str:
    """Name the override that set the first of `keys` it can; else the line of `keys[0]`."""
    for key in keys:
        for path, override in origins.items():
            if path[: len(key)] == key:
                return override
    line = document.lines.get(keys[0])
    return document.where if line is None else f"{document.where}:{line}"


def _text(detail: Any, path: Path_) -> str:
    kind, ctx, value = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind in _UNKNOWN_KEY_ERRORS or (kind == "literal_error" and "[key]" in detail["loc"]):
        return f"unknown key{_nearest(path)}"
    if kind in ("chip_rule", "part_rule"):
        return str(detail["msg"])
    return f"{must_be(kind, ctx, detail['msg'])}, not {shown_value(value)}"


def must_be(kind: str, ctx: dict[str, Any], message: str) -> str:
    """Return what a value must be, from pydantic's kind of error, its context and its message."""
    if kind in _TYPE_NAMES:
        return f"must be {_TYPE_NAMES[kind]}"
    fixed = {
        "greater_than_equal": "must be at least {ge}",
        "greater_than": "must be above {gt}",
        "less_than_equal": "must be at most {le}",
        "finite_number": "must be a finite number",
        "string_too_short": "must have at least {min_length} characters",
        "string_too_long": "must have at most {max_length} characters",
        "string_pattern_mismatch": "must have only lower-case letters, digits and underscores",
    }
    if kind in fixed:
        return fixed[kind].format(**ctx)
    if kind == "literal_error":
        return "must be " + str(ctx["expected"]).replace("'", "")
    return message  # our own validators already speak this way


def _nearest(path: Path_) -> str:
    """Hint at the known key nearest to the unknown `path`: of its section, else of any."""
    known = [key for key, _ in schema_keys(optional=True)]
    siblings = [key[-1] for key in known if key[:-1] == path[:-1]]
    close = difflib.get_close_matches(str(path[-1]), siblings, n=1)
    if close:
        return f" (did you mean {close[0]!r}?)"
    elsewhere = [dotted(key) for key in known if key[-1] == path[-1]]
    return f" (did you mean {elsewhere[0]!r}?)" if elsewhere else ""


def schema_keys(
    model: type[Block] = ChipConfig, path: tuple[str, ...] = (), optional: bool = False
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield (key path, pydantic field) for every key of `model`, sections before their keys;
    `optional`: also sections that may be absent.
    """
    for name, info in model.model_fields.items():
        if info.is_required() or optional:
            yield (*path, name), info
            block = block_of(info)
            if block is not None:
                yield from schema_keys(block, (*path, name), optional)


def block_of(info: FieldInfo) -> type[Block] | None:
    """Return the section that a key holds, also one that may be absent; None for a plain key."""
    choices = get_args(info.annotation)
    for choice in choices if type(None) in choices else (info.annotation,):
        if isinstance(choice, type) and issubclass(choice, Block):
            return choice
    return None
