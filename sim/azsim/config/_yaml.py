"""YAML text -> plain tree with the line of every key; refuses everything a chip file does not need.

Refused in one line: anchors and aliases (a few bytes can unfold into gigabytes), tags, more than
one document, deep nesting, long scalars, duplicate keys, files over 1 MB, anything that is not
UTF-8 text. Chip files are plain data.
"""

from __future__ import annotations

import stat
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from azsim.errors import ConfigError

MAX_FILE_BYTES = 1_000_000
MAX_DEPTH = 8
MAX_SCALAR_CHARACTERS = 1000
_SHOWN_CHARACTERS = 40
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float"))
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Path_ = tuple[Hashable, ...]


@dataclass
class Document:
    """A parsed file: `tree` of dicts and scalars, and the line (from 1) of each key path."""

    where: str
    tree: dict[Any, Any]
    lines: dict[Path_, int] = field(default_factory=dict)


def printable(text: object) -> str:
    """Return `text` on one line, escaped where it cannot be printed and cut where it is long."""
    raw = str(text)
    shown = raw if raw.isprintable() else repr(raw)[1:-1]
    return shown if len(shown) <= _SHOWN_CHARACTERS * 5 else shown[: _SHOWN_CHARACTERS * 5] + "..."


def shown_value(value: object) -> str:
    """Return `value` the way an error shows it: as Python writes it, at most 40 characters."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def dotted(path: Path_) -> str:
    """Return a key path the way files and overrides name it: `mac_array.lanes`."""
    return ".".join(printable(part) for part in path)


def read_text(path: Path) -> str:
    """Return the text of the regular UTF-8 file `path` of at most 1 MB, or raise ConfigError."""
    where = printable(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(f"{where}: must be a regular file")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte inside the name
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{where}: must be a readable file: {reason}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{where}: must be at most {MAX_FILE_BYTES} bytes long")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: must be UTF-8 text, and byte {error.start} is not") from error


def parse_document(text: str, where: str) -> Document:
    """Return the single mapping in `text`; `where` names it in errors (ConfigError)."""
    try:
        _check_events(text, where)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(_syntax_message(error, where)) from error
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{where}: must be a mapping of sections")
    document = Document(where, {})
    document.tree = _mapping(node, (), document)
    return document


def parse_scalar(text: str) -> Any:
    """Return the value of one plain YAML scalar; raise ValueError if `text` is not one."""
    try:
        _check_events(text, "value")
        node = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, ConfigError) as error:
        raise ValueError("not a plain value") from error
    if node is None:
        return None
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError("not a plain value")
    return _scalar(node)


def _check_events(text: str, where: str) -> None:
    depth = 0
    documents = 0
    events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise ConfigError(f"{where}:{line}: must be one YAML document, not several")
        _check_node_event(event, f"{where}:{line}")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ConfigError(f"{where}:{line}: must be nested at most {MAX_DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check_node_event(event: Any, where: str) -> None:
    if getattr(event, "anchor", None) is not None:
        raise ConfigError(f"{where}: must be plain data, without anchors or aliases")
    if getattr(event, "tag", None) is not None:
        raise ConfigError(f"{where}: must be plain data, without tags")
    if isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_SCALAR_CHARACTERS:
        raise ConfigError(
            f"{where}: must have values of at most {MAX_SCALAR_CHARACTERS} characters"
        )


def _syntax_message(error: yaml.YAMLError, where: str) -> str:
    mark = getattr(error, "problem_mark", None)
    place = where if mark is None else f"{where}:{mark.line + 1}"
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
    return f"{place}: must be YAML: {printable(problem)}"


def _mapping(node: yaml.MappingNode, path: Path_, document: Document) -> dict[Any, Any]:
    tree: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = _key(key_node, f"{document.where}:{line}")
        here = (*path, key)
        if key in tree:
            first = document.lines[here]
            raise ConfigError(
                f"{document.where}:{line}: {dotted(here)}: must be given once, "
                f"and stands on line {first} too"
            )
        document.lines[here] = line
        tree[key] = _value(value_node, here, document)
    return tree


def _key(node: yaml.Node, where: str) -> Hashable:
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError(f"{where}: must have plain keys, not a collection as a key")
    value = _scalar_or_refuse(node, where)
    # True == 1 in Python: with only whole numbers and text as keys no two can be mixed up.
    return value if type(value) is int else str(node.value)


def _value(node: yaml.Node, path: Path_, document: Document) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, index), document) for index, item in enumerate(node.value)]
    return _scalar_or_refuse(node, f"{document.where}:{node.start_mark.line + 1}: {dotted(path)}")


def _scalar_or_refuse(node: Any, where: str) -> Any:
    try:
        return _scalar(node)
    except ValueError:
        _refuse_number(where)


def _refuse_number(where: str) -> NoReturn:
    raise ConfigError(f"{where}: must be a number of reasonable length")


def _scalar(node: yaml.ScalarNode) -> Any:
    if node.tag not in _PLAIN_TAGS:
        return node.value  # text; also dates and merge keys, which mean nothing here
    return yaml.constructor.SafeConstructor().construct_object(node)
