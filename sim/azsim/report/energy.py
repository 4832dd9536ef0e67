"""Energy of a run: the section `energy` of summary.json, ENERGY_REPORT.csv, Accelergy's files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from azsim._atomic import replaced_file
from azsim.energy import (
    Action,
    Amount,
    CpuEstimate,
    Row,
    mobile_cpu,
)
from azsim.energy.amounts import AJ_PER_PJ, FJ_PER_PJ, total
from azsim.energy.ledger import TIME_UNIT
from azsim.report.record import RunRecord

ACCELERGY_VERSION = 0.3  # of the form of both files
NOT_COUNTED = (
    "wires between blocks, voltage regulators, microphones, the rest of the device; no silicon "
    "figure of an AZ chip exists"
)


def cpu_energy(record: RunRecord) -> CpuEstimate:
    """Return what a mobile CPU would take for the same frames."""
    counts = record.counters.counts
    products = counts["mac_products_done"] + counts["mac_products_skipped"]
    background = total(
        action.total_fj
        for action in record.energy.actions
        if action.component == "dram" and action.unit in (TIME_UNIT, "refresh")
    )
    table = record.chip.energy.dram_table
    return mobile_cpu(products, _weights_used(record), table, background)


def _weights_used(record: RunRecord) -> int:
    """Weights that the frames need, each frame all of its program or of its branch."""
    if record.branches is not None:
        return sum(_weights_used(part) for part in record.branches.parts.values())
    return record.frames * sum(layer.weights for layer in record.program.layers)


def energy_summary(record: RunRecord) -> dict[str, Any]:
    """Return the section `energy` of summary.json; docs/energy_model.md says what each key is."""
    energy, cpu = record.energy, cpu_energy(record)
    time = energy.time
    section = record.chip.energy
    per_second = energy.per_second_pj()
    return {
        "table": energy.tables[0],
        "dram_table": energy.tables[1],
        "node_nm": energy.node_nm,
        "voltage_mv": energy.voltage_mv,
        "idle_policy": section.idle_policy,
        "busy_s": _rounded(time.busy_ps / 1e12),
        "idle_s": _rounded(time.idle_ps / 1e12),
        "duty_cycle": _rounded(time.duty_cycle),
        "total_pj": energy.total_fj.pj(),
        "per_frame_pj": _figures(energy.per_frame_pj()),
        "per_second_of_audio_pj": _figures(per_second),
        "power_mw": _figures(per_second and {name: pj / 1e9 for name, pj in per_second.items()}),
        "components": {name: amount.pj() for name, amount in energy.components.items()},
        "weight_store_fill_pj": energy.fill_fj.pj(),
        "mobile_cpu": {
            "assumption": cpu.assumption,
            "pj_each": _each(cpu.mac_aj),
            "products": cpu.products,
            "products_pj": cpu.products_fj.pj(),
            "dram_pj": cpu.dram_fj.pj(),
            "dram_background_pj": cpu.background_fj.pj(),
            "total_pj": cpu.total_fj.pj(),
            "ratio": _rounded(_over(cpu.total_fj.nominal, energy.total_fj.nominal)),
        },
        "not_counted": NOT_COUNTED,
        "layers": [
            {"name": name, "total_pj": total(parts.values()).pj(), "components_pj": _nominal(parts)}
            for name, parts in zip(energy.places, energy.place_components(), strict=True)
        ],
        "actions": [_action(action) for action in energy.actions],
        "sources": {name: _source(row) for name, row in energy.rows.items()},
    }


def _nominal(parts: Mapping[str, Amount]) -> dict[str, float]:
    return {name: amount.nominal / FJ_PER_PJ for name, amount in parts.items()}


def _each(aj: Amount) -> dict[str, float]:
    return {
        "nominal": aj.nominal / AJ_PER_PJ,
        "low": aj.low / AJ_PER_PJ,
        "high": aj.high / AJ_PER_PJ,
    }


def _action(action: Action) -> dict[str, Any]:
    return {
        "component": action.component,
        "action": action.name,
        "unit": action.unit,
        "count": action.count,
        "pj_each": _each(action.rate.aj),
        "total_pj": action.total_fj.pj(),
        "rows": list(action.rate.rows) or ["the chip file"],
    }


def _source(row: Row) -> dict[str, Any]:
    return {
        "value": row.value,
        "low": row.low,
        "high": row.high,
        "unit": row.unit,
        "node_nm": row.node_nm,
        "voltage_mv": row.voltage_mv,
        "source": row.source,
    }


def _figures(values: dict[str, float] | None) -> dict[str, float | None] | None:
    return None if values is None else {name: _rounded(value) for name, value in values.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.9g}")


def _over(value: int, divisor: int) -> float | None:
    return value / divisor if divisor else None


def write_energy_report(record: RunRecord, path: Path) -> None:
    """Write ENERGY_REPORT.csv: a row per place, pJ to three decimals; the rows sum to the last one.

    Raises:
        ConfigError: the file cannot be written.
    """
    energy = record.energy
    names = list(energy.components)
    operators = [layer.operator for layer in record.program.layers]
    whole = energy.total_fj
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    heads = ["LayerID", "Name", "Operator", "Nominal pJ", "Low pJ", "High pJ", "Share %"]
    table.writerow([*heads, *(f"{name} pJ" for name in names)])
    places = zip(energy.places, energy.place_components(), strict=True)
    for number, (name, parts) in enumerate(places):
        operator = operators[number] if number < len(operators) else ""
        table.writerow([number, name, operator, *_cells(parts, names, whole)])
    table.writerow(["", "total", "", *_cells(energy.components, names, whole)])
    # a name from a model file may hold half of a surrogate pair, which UTF-8 has no bytes for
    with replaced_file(path) as temporary:
        temporary.write_text(
            text.getvalue(), encoding="utf-8", errors="backslashreplace", newline=""
        )


def _cells(parts: Mapping[str, Amount], names: Sequence[str], whole: Amount) -> list[str]:
    amount = total(parts.values())
    share = 100 * amount.nominal / whole.nominal if whole.nominal else 0.0
    figures = (amount.nominal, amount.low, amount.high)
    return [
        *(_pj_text(value) for value in figures),
        f"{share:.4f}",
        *(_pj_text(parts[name].nominal) for name in names),
    ]


def _pj_text(value_fj: int) -> str:
    return f"{value_fj // FJ_PER_PJ}.{value_fj % FJ_PER_PJ:03}"


def write_action_counts(record: RunRecord, path: Path) -> None:
    """Write what was done in Accelergy's form: a count for each action of each component.

    Raises:
        ConfigError: the file cannot be written.
    """
    local = [
        {
            "name": component,
            "action_counts": [{"name": a.name, "counts": a.count} for a in actions],
        }
        for component, actions in _by_component(record).items()
    ]
    _write_yaml({"action_counts": {"version": ACCELERGY_VERSION, "local": local}}, path)


def write_reference_table(record: RunRecord, path: Path) -> None:
    """Write the nominal energy of each action in pJ, as Accelergy's energy reference table.

    Raises:
        ConfigError: the file cannot be written.
    """
    tables = [
        {
            "name": component,
            "actions": [
                {"name": a.name, "arguments": None, "energy": a.rate.aj.nominal / AJ_PER_PJ}
                for a in actions
            ],
        }
        for component, actions in _by_component(record).items()
    ]
    _write_yaml({"ERT": {"version": ACCELERGY_VERSION, "tables": tables}}, path)


def _by_component(record: RunRecord) -> dict[str, list[Action]]:
    components: dict[str, list[Action]] = {}
    for action in record.energy.actions:
        name = f"{record.chip.name}.{action.component}"
        components.setdefault(name, []).append(action)
    return components


def _write_yaml(content: dict[str, Any], path: Path) -> None:
    with replaced_file(path) as temporary:
        text = yaml.safe_dump(content, sort_keys=False, default_flow_style=False)
        temporary.write_text(text, encoding="utf-8", newline="\n")
