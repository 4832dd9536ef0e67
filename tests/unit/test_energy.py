"""Energy of a run: exact sums, every action by hand, real time, what has no price."""

from __future__ import annotations

import csv
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from report_cases import make_record

import azsim.energy.actions as actions
from azsim.config import load_chip
from azsim.counters import Traffic
from azsim.energy import Amount, DramRates, EnergyBreakdown, load_table, mobile_cpu, price
from azsim.energy.actions import VECTOR_OPERATIONS
from azsim.energy.amounts import total
from azsim.energy.dram import LpddrShape, add_lpddr
from azsim.energy.ledger import Ledger, apportion
from azsim.errors import ConfigError
from azsim.report.energy import (
    cpu_energy,
    energy_summary,
    write_action_counts,
    write_energy_report,
    write_reference_table,
)
from azsim_kernels import isa

pytestmark = pytest.mark.small


def energy(*overrides: str, **changes: Any) -> EnergyBreakdown:
    return make_record(chip=load_chip("az1", ["memory.model=simple", *overrides]), **changes).energy


def action(breakdown: EnergyBreakdown, name: str) -> Any:
    return next(a for a in breakdown.actions if f"{a.component}.{a.name}" == name)


def test_every_sum_is_exact() -> None:
    run = energy()
    assert total(run.components.values()) == run.total_fj
    assert total(a for place in run.place_components() for a in place.values()) == run.total_fj
    assert total(a for row in run.actions for a in row.fj) == run.total_fj
    assert run.total_fj.low < run.total_fj.nominal < run.total_fj.high


def test_every_action_costs_something_and_has_a_source() -> None:
    run = energy()
    for each in run.actions:
        assert each.rate.aj.low > 0
        assert each.rate.rows or each.component == "leakage"
        assert len(each.counts) == len(run.places)
        assert set(each.rate.rows) <= set(run.rows)
    assert all(row.source for row in run.rows.values())


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("dram.read", 8 * 32_000),
        ("dram.write", 8 * 300),
        # 5000 cycles of 2000 ps, bytes on the bus in 2050 of them
        ("dram.standby", 2950 * 2000),
        ("dram.refresh", 5000 * 2000),
        ("dram.idle_power_down", 12_000_000 - 10_000_000),  # 3 frames of 4 us
        ("dram.idle_refresh", 2_000_000),
        ("weight_store.read", 8 * 7),
        ("wbuf.read", 8 * (480 + 60)),
        ("wbuf.write", 8 * (1536 + 192)),
        ("abuf.read", 8 * (60 + 432 + 120 + 48)),
        ("abuf.write", 8 * (48 + 36 + 96)),
        ("accumulators.read", 8 * 192),
        ("mac_array.multiply", 240),
        ("mac_array.add", 240),
        ("mac_array.queue", 8 * 60),  # eight lanes take each broadcast byte
        ("mac_array.clock", 600),
        ("decoder.logic", 1500 + 700),
        ("vector.clock", 90),
        ("sequencer.logic", 5000),
        ("sequencer.command_fetch", 30),
        ("leakage.sram", 10_000_000),
        ("leakage.sram_idle", 2_000_000),
    ],
)
def test_counts_by_hand(name: str, count: int) -> None:
    assert action(energy(), name).count == count


def test_prices_by_hand() -> None:
    run = energy()
    assert action(run, "dram.read").total_fj == Amount(*(256_000 * pj * 1000 for pj in (9, 8, 11)))
    assert action(run, "dram.standby").total_fj.nominal == 37 * 5_900_000  # mW x ps
    assert action(run, "leakage.sram").rate.aj.nominal == round(0.5 * 1579.5)  # uW of all SRAM
    assert action(run, "leakage.sram_idle").rate.aj.nominal == round(0.5 * round(0.5 * 1579.5))
    assert action(run, "sequencer.command_fetch").rate.aj.nominal == 32 * 8 * 9_000_000


def test_work_goes_to_the_layer_that_did_it() -> None:
    assert action(energy(), "wbuf.read").counts == (8 * 540, 0, 0, 0, 0)
    assert action(energy(), "mac_array.clock").counts == (600, 0, 0, 0, 0)
    assert action(energy(), "leakage.logic").counts == (8_000_000, 1_200_000, 800_000, 0, 0)
    assert action(energy(), "dram.idle_refresh").counts == (0, 0, 0, 0, 2_000_000)


def test_what_no_layer_did_is_not_lost() -> None:
    record = make_record()
    counts = dict(record.counters.counts) | {"vector_lut_beats": 5}
    run = replace(record, counters=replace(record.counters, counts=counts)).energy
    assert action(run, "vector.lut").counts == (0, 0, 0, 5, 0)


@pytest.mark.parametrize("policy", ["active", "power_down", "self_refresh"])
def test_the_policy_between_frames(policy: str) -> None:
    run = energy(f"energy.idle_policy={policy}")
    names = [a.name for a in run.actions if a.component == "dram" and a.name.startswith("idle")]
    refresh = [] if policy == "self_refresh" else ["idle_refresh"]  # it refreshes itself
    assert names == [f"idle_{policy}", *refresh]


def test_commands_of_lpddr_by_hand() -> None:
    """Two channels of two devices with eight banks, 625 ps; the host's bits belong to no layer."""
    record = make_record()
    commands = {
        "dram_activates": 10, "dram_refreshes_all_bank": 3, "dram_refreshes_per_bank": 5,
        "dram_open_clocks": 700, "dram_closed_clocks": 300, "dram_w_read_bytes": 3200,
        "dram_a_read_bytes": 320, "dram_host_read_bytes": 64, "dram_w_write_bytes": 0,
        "dram_a_write_bytes": 32, "dram_host_write_bytes": 96,
    }  # fmt: skip
    counters = replace(record.counters, counts=dict(record.counters.counts) | commands)
    book = Ledger(counters)
    add_lpddr(book, counters, LpddrShape(2, 2, 8, 625), DramRates(load_table("lpddr4")))
    found = {a.name: (a.count, a.rate.aj.nominal) for a in book.actions}
    pj = 1_000_000
    assert found == {
        "activate": (20, 1200 * pj),
        "read": (8 * 3520, round(8.48 * pj)),
        "host_read": (8 * 64, round(8.48 * pj)),
        "write": (8 * 32, round(5.05 * pj)),
        "host_write": (8 * 96, round(5.05 * pj)),
        "refresh_all_bank": (6, 23_400 * pj),
        "refresh_per_bank": (10, 2925 * pj),
        "standby_open": (2 * 625 * 700, 37_000),
        "standby_closed": (2 * 625 * 300, 33_000),
    }
    host = next(a for a in book.actions if a.name == "host_read")
    assert host.counts == (0, 0, 0, 512, 0)


def test_policies_cost_in_their_order() -> None:
    policies = ("self_refresh", "power_down", "active")
    totals = [energy(f"energy.idle_policy={p}").total_fj.nominal for p in policies]
    assert totals == sorted(totals)
    assert len(set(totals)) == 3


def test_idle_time_without_leakage_and_channels() -> None:
    run = energy("energy.idle_leakage_percent=0", "energy.dram_channels=2")
    assert not any(a.name.endswith("_idle") for a in run.actions)
    assert action(run, "dram.refresh").count == 2 * 10_000_000


def test_a_run_that_does_not_keep_up_is_never_idle() -> None:
    run = make_record(frame_ms=0.001).energy
    assert (run.time.idle_ps, run.time.real_ps) == (0, 10_000_000)
    assert run.time.duty_cycle == 1.0
    assert run.place_components()[-1]["dram"] == Amount()


def test_per_frame_and_per_second_of_audio() -> None:
    run = energy()
    nominal = Fraction(run.total_fj.nominal, 1000)
    frame, second = run.per_frame_pj(), run.per_second_pj()
    assert frame is not None
    assert second is not None
    assert frame["nominal"] == pytest.approx(float(nominal / 3))
    assert second["nominal"] == pytest.approx(float(nominal / 12 * 10**6))  # 12 us of audio


def test_zero_leakage_is_the_chip_file_s_word_for_none() -> None:
    keys = [f"energy.sram_leakage_uw_per_kb.{name}=0" for name in ("low", "nominal", "high")]
    assert "sram" not in {a.name for a in energy(*keys).actions}


@pytest.mark.parametrize("nominal", [0.05, 3.5])
def test_a_leakage_outside_of_its_range_is_refused(nominal: float) -> None:
    key = "energy.sram_leakage_uw_per_kb.nominal"
    with pytest.raises(ConfigError) as caught:
        load_chip("az1", [f"{key}={nominal}"])
    assert str(caught.value) == (
        f"override '{key}={nominal}': {key}: must be from low (0.1) to high (3.0), not {nominal}"
    )


def test_an_unknown_counter_has_no_price() -> None:
    record = make_record()
    counts = dict(record.counters.counts) | {"flux_capacitor_charges": 0}
    counters = replace(record.counters, counts=counts)
    with pytest.raises(ConfigError) as caught:
        price(counters, record.chip, frame_ms=1.0)
    assert str(caught.value) == (
        "energy: counter 'flux_capacitor_charges': must have a price, and has none"
    )
    counts = dict(record.counters.counts) | {"vector_fft_beats": 1}
    with pytest.raises(ConfigError, match=r"^energy: operation class 'fft': must have a price$"):
        price(replace(record.counters, counts=counts), record.chip, frame_ms=1.0)


def test_unknown_traffic_has_no_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "TRAFFIC_NAMES", (*actions.TRAFFIC_NAMES, "tape_read_bytes"))
    with pytest.raises(ConfigError, match=r"^energy: traffic 'tape_read_bytes': must have a price"):
        energy()


def test_every_class_of_the_machine_has_its_operations() -> None:
    assert set(isa.VECTOR_CLASSES) <= set(VECTOR_OPERATIONS)
    assert {name for name, what in VECTOR_OPERATIONS.items() if not what} == {"copy", "pack"}


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**9), max_size=9))
def test_shares_sum_to_the_count_and_follow_the_weights(count: int, weights: list[int]) -> None:
    shares = apportion(count, weights)
    assert sum(shares) == (count if sum(weights) else 0)
    for share, weight in zip(shares, weights, strict=True):
        assert sum(weights) == 0 or abs(share - Fraction(count * weight, sum(weights))) < 1
    assert apportion(sum(weights), weights) == tuple(weights)


@given(
    st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**7)), min_size=3, max_size=3),
    st.integers(0, 10**9),
)
def test_sums_are_exact_for_any_counters(work: list[tuple[int, int]], done: int) -> None:
    record = make_record()
    layers = tuple(
        replace(layer, span_cycles=span, products=span, traffic=Traffic(abuf_mac_read_bytes=size))
        for layer, (span, size) in zip(record.counters.layers, work, strict=True)
    )
    counts = dict(record.counters.counts) | {"mac_products_done": done}
    counters = replace(record.counters, layers=layers, counts=counts)
    run = price(counters, record.chip, frame_ms=1.0)
    assert total(run.components.values()) == run.total_fj
    assert total(a for place in run.place_components() for a in place.values()) == run.total_fj
    assert action(run, "mac_array.multiply").count == done


def test_the_weight_store_is_filled_once_and_apart() -> None:
    run = energy()
    stream = 9_000_000 + action(run, "weight_store.read").rate.aj.nominal
    assert run.fill_fj.nominal == round(33 * 8 * stream / 1000)
    assert run.fill_fj not in run.components.values()


def test_the_mobile_cpu_by_hand() -> None:
    estimate = mobile_cpu(1000, 10, "lpddr4", Amount(3, 2, 5))
    nominal, low, high = (1000 * mac + 80 * bit for mac, bit in ((25, 9), (15, 8), (40, 11)))
    assert estimate.total_fj == Amount(1000 * nominal + 3, 1000 * low + 2, 1000 * high + 5)
    assert estimate.assumption.startswith("assumed: Cortex-A53/A55 class, 15 to 40 pJ per int8")


def test_the_mobile_cpu_pays_for_the_same_background() -> None:
    record = make_record(chip=load_chip("az1", ["memory.model=simple"]))
    names = ("dram.standby", "dram.refresh", "dram.idle_power_down", "dram.idle_refresh")
    background = total(action(record.energy, name).total_fj for name in names)
    assert cpu_energy(record).background_fj == background
    assert cpu_energy(record).products == 480
    assert cpu_energy(record).weight_bytes == 160 * 3


def test_summary_and_table_agree_to_the_last_digit(tmp_path: Path) -> None:
    record = make_record()
    write_energy_report(record, tmp_path / "e.csv")
    with (tmp_path / "e.csv").open(newline="", encoding="utf-8") as file:
        *rows, last = list(csv.DictReader(file))
    for column in ("Nominal pJ", "Low pJ", "High pJ", "dram pJ", "leakage pJ"):
        assert sum(Decimal(row[column]) for row in rows) == Decimal(last[column])
    summary = energy_summary(record)
    for key in ("components", "layers"):
        parts = summary[key].values() if key == "components" else summary[key]
        values = [Decimal(str((p if key == "components" else p["total_pj"])["low"])) for p in parts]
        assert sum(values) == Decimal(str(summary["total_pj"]["low"]))
    assert Decimal(last["Low pJ"]) == Decimal(str(summary["total_pj"]["low"]))


def test_accelergy_s_files_give_the_nominal_total_again(tmp_path: Path) -> None:
    record = make_record()
    write_action_counts(record, tmp_path / "action_counts.yaml")
    write_reference_table(record, tmp_path / "ERT.yaml")
    counts = yaml.safe_load((tmp_path / "action_counts.yaml").read_text())["action_counts"]
    table = yaml.safe_load((tmp_path / "ERT.yaml").read_text())["ERT"]
    assert counts["version"] == table["version"] == 0.3
    prices = {
        (part["name"], each["name"]): each["energy"]
        for part in table["tables"]
        for each in part["actions"]
    }
    done = [
        each["counts"] * prices[part["name"], each["name"]]
        for part in counts["local"]
        for each in part["action_counts"]
    ]
    assert len(done) == len(record.energy.actions) == len(prices)
    assert sum(done) == pytest.approx(record.energy.total_fj.nominal / 1000, rel=1e-6)
    assert counts["local"][0]["name"] == "az1.dram"


def test_tables_of_the_user_are_used(tmp_path: Path) -> None:
    text = yaml.safe_dump(load_table("lpddr4").model_dump(mode="json"), sort_keys=False)
    tree = yaml.safe_load(text)
    for row in tree["rows"].values():
        del row["size_kb"]
    tree["rows"]["lpddr4_stream"] |= {"value": 18.0, "high": 20.0}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    ours = energy(f"energy.dram_table={tmp_path}/mine.yaml")
    theirs = energy()
    assert action(ours, "dram.read").total_fj.nominal == (
        2 * action(theirs, "dram.read").total_fj.nominal
    )


def test_the_page_lists_the_operations_of_every_class() -> None:
    short = {
        "int8_multiply": "m8", "int16_multiply": "m16", "int32_multiply": "m32",
        "int32_add": "a", "table": "t",
    }  # fmt: skip
    page = (Path(__file__).parents[2] / "docs" / "energy_model.md").read_text(encoding="utf-8")
    for name, what in VECTOR_OPERATIONS.items():
        text = ", ".join(f"{times} {short[operation]}" for operation, times in what.items())
        assert f"| {name} | {text or '-'} |" in page
