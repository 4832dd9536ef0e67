"""Energy tables: files of rows, each with value, range, unit, node, voltage and source.

A row that lacks one of them does not load. Errors have the form of chip files, with the row's name:

    mine.yaml:31: rows.int8_multiply_45nm.unit: must be present
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from azsim._resources import data_folder
from azsim.config._block import Block
from azsim.config._yaml import Document, Path_, dotted, parse_document, printable, read_text
from azsim.config._yaml import shown_value as shown
from azsim.config.load import must_be
from azsim.errors import ConfigError

SRAM_ACCESS = "sram_access"
# Quantity -> unit, by kind of table. A table has every quantity of its kind.
QUANTITIES: dict[str, dict[str, str]] = {
    "logic": {
        "int8_multiply": "pJ",
        "int16_multiply": "pJ",
        "int32_multiply": "pJ",
        "int32_add": "pJ",
        SRAM_ACCESS: "pJ/64bit",
        "logic_kgate_cycle": "pJ/kgate",
        "clock_kgate_cycle": "pJ/kgate",
    },
    "dram": {
        "stream": "pJ/bit",
        "read_core": "pJ/bit",
        "read_io": "pJ/bit",
        "write_core": "pJ/bit",
        "write_io": "pJ/bit",
        "activate_precharge": "pJ",
        "refresh_all_bank": "pJ",
        "refresh_mean": "mW",
        "standby_active": "mW",
        "standby_precharged": "mW",
        "power_down": "mW",
        "self_refresh": "mW",
    },
    "cpu": {"int8_mac": "pJ"},
}


def _one_printable_line(value: str) -> str:
    if not value.isprintable() or not value.strip():
        raise PydanticCustomError("table_value", "must be one line of printable text")
    return value


Line = Annotated[str, Field(min_length=1, max_length=400), AfterValidator(_one_printable_line)]
Positive = Annotated[float, Field(gt=0.0, le=1e9, allow_inf_nan=False)]
Coefficient = Annotated[float, Field(ge=-1e3, le=1e3, allow_inf_nan=False)]


class SwitchEnergy(Block):
    """Energy of a switch at the supply voltage V: a V^2 + b V + c. Only ratios are used."""

    a: Coefficient
    b: Coefficient
    c: Coefficient
    source: Line

    def at(self, voltage_mv: int) -> float:
        """Return the polynomial at a voltage."""
        volts = voltage_mv / 1000
        return self.a * volts * volts + self.b * volts + self.c


class Row(Block):
    """One energy or power: `value`, which is from `low` to `high`, at one node and voltage."""

    quantity: str
    value: Positive
    low: Positive
    high: Positive
    unit: str
    node_nm: int = Field(ge=1, le=1000)
    voltage_mv: int = Field(ge=100, le=5000)
    source: Line
    size_kb: Positive | None = None  # of the memory; with `sram_access` only


class EnergyTable(Block):
    """A table; `nodes` are the technology nodes its rows can be scaled to."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[a-z0-9_]+$")
    description: Line
    kind: Literal["logic", "dram", "cpu"]
    nodes: dict[Annotated[int, Field(ge=1, le=1000)], SwitchEnergy]
    rows: Annotated[dict[str, Row], Field(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _rows_fit(self) -> EnergyTable:
        for name, row in self.rows.items():
            _check_row(self, name, row)
        _check_points(self)
        missing = [q for q in QUANTITIES[self.kind] if not self.rows_of(q)]
        if missing:
            _refuse(("rows",), f"must have a row of quantity {missing[0]}")
        return self

    def rows_of(self, quantity: str) -> dict[str, Row]:
        """Return the rows of one quantity by name."""
        return {name: row for name, row in self.rows.items() if row.quantity == quantity}


def _refuse(path: tuple[str, ...], text: str) -> None:
    raise PydanticCustomError("table_rule", "{text}", {"text": text, "path": list(path)})


def _check_row(table: EnergyTable, name: str, row: Row) -> None:
    known = QUANTITIES[table.kind]
    if row.quantity not in known:
        text = f"must be one of {', '.join(known)}, not {shown(row.quantity)}"
        _refuse(("rows", name, "quantity"), text)
    if row.unit != known[row.quantity]:
        text = f"must be {known[row.quantity]} for {row.quantity}, not {shown(row.unit)}"
        _refuse(("rows", name, "unit"), text)
    if not row.low <= row.value <= row.high:
        text = f"must be from low ({row.low:g}) to high ({row.high:g}), not {row.value:g}"
        _refuse(("rows", name, "value"), text)
    if (row.size_kb is not None) != (row.quantity == SRAM_ACCESS):
        text = f"must be present with {SRAM_ACCESS}, and with no other quantity"
        _refuse(("rows", name, "size_kb"), text)
    if table.kind == "logic" and row.node_nm not in table.nodes:
        nodes = ", ".join(map(str, table.nodes))
        _refuse(("rows", name, "node_nm"), f"must be one of nodes ({nodes}), not {row.node_nm}")


def _check_points(table: EnergyTable) -> None:
    """A quantity has one row per node (of a memory: and size), or one in all if nothing scales."""
    seen: dict[tuple[str, int, float | None], str] = {}
    for name, row in table.rows.items():
        point = (row.quantity, row.node_nm if table.kind == "logic" else 0, row.size_kb)
        if point in seen:
            _refuse(("rows", name), f"must not repeat the point of {printable(seen[point])}")
        seen[point] = name


def table_names() -> list[str]:
    """Return the names of the tables that come with azsim, sorted."""
    return sorted(path.stem for path in (data_folder("hw_configs") / "energy").glob("*.yaml"))


def load_table(name_or_path: str | Path, kind: str | None = None) -> EnergyTable:
    """Return the table `name_or_path`: a shipped table's name, or the path of a file.

    kind  what the table must be: logic, dram or cpu; None takes any

    Raises:
        ConfigError: one line with file, line, row and key, and what it must be.
    """
    path, where = _place(name_or_path)
    table = parse_table(read_text(path), where)
    if kind is not None and table.kind != kind:
        raise ConfigError(f"{where}: kind: must be {kind}, not {table.kind}")
    return table


def _place(name_or_path: str | Path) -> tuple[Path, str]:
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or "/" in text or "\\" in text or text.endswith(".yaml"):
        return Path(name_or_path), printable(name_or_path)
    names = table_names()
    if text not in names:
        close = difflib.get_close_matches(text, names, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ConfigError(
            f"energy table '{printable(text)}': must be one of {', '.join(names)}, "
            f"or the path of a .yaml file{hint}"
        )
    return data_folder("hw_configs") / "energy" / f"{text}.yaml", f"energy/{text}.yaml"


def parse_table(text: str, where: str) -> EnergyTable:
    """Return the table that YAML `text` describes; errors name the file `where`.

    Raises:
        ConfigError: see `load_table`.
    """
    document = parse_document(text, where)
    try:
        return EnergyTable.model_validate(document.tree)
    except ValidationError as error:
        details = sorted(error.errors(), key=lambda d: d["type"] != "extra_forbidden")
        raise ConfigError(_message(details[0], document)) from None


def _message(detail: Any, document: Document) -> str:
    kind, ctx = detail["type"], detail.get("ctx", {})
    path: Path_ = tuple(part for part in detail["loc"] if part != "[key]")
    if kind == "table_rule":
        path = tuple(ctx["path"])
        return f"{_at(path, document)}: {dotted(path)}: {ctx['text']}"
    if kind == "missing":
        return f"{_at(path, document)}: {dotted(path)}: must be present"
    if kind == "extra_forbidden":
        return f"{_at(path, document)}: {dotted(path)}: unknown key{_nearest(path)}"
    return (
        f"{_at(path, document)}: {dotted(path)}: "
        f"{must_be(kind, ctx, detail['msg'])}, not {shown(detail['input'])}"
    )


def _nearest(path: Path_) -> str:
    block: type[Block] = EnergyTable
    if len(path) > 2:
        block = Row if path[0] == "rows" else SwitchEnergy
    name = str(path[-1]) if path else ""
    close = difflib.get_close_matches(name, block.model_fields, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _at(path: Path_, document: Document) -> str:
    """Return file and line of the key at `path`, or of the nearest key above it that has one."""
    while path and path not in document.lines:
        path = path[:-1]
    return f"{document.where}:{document.lines[path]}" if path else document.where
