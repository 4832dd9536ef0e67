"""The decoder's RTL: lockstep with the clocked model, planted bugs, tools, test plan."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import numpy as np
import pytest
import typer
import yaml
from typer.testing import CliRunner

from azsim.cli import rtl_commands
from azsim.codec import encode_tensor, save_npy, save_stream
from azsim.errors import AzsimError, ConfigError, StreamError
from azsim.program import Program
from azsim.program.types import TILE_DTYPE
from azsim.rtl_check.cases import Case, CaseMaker
from azsim.rtl_check.coverage import Coverage
from azsim.rtl_check.forge import Mode
from azsim.rtl_check.job import Job, Result
from azsim.rtl_check.lockstep import run_model_alone
from azsim.rtl_check.real_tiles import program_tile
from azsim.rtl_check.reports import junit_text
from azsim.rtl_check.runner import Outcome, Verification, verify_rtl
from azsim.rtl_check.scenarios import Configuration, make_scenario, recipes
from azsim.rtl_check.sources import rtl_sources
from azsim.rtl_check.vectors import load_vectors, write_vectors
from azsim.rtl_check.volume import Replay, build
from azsim_kernels import isa

REPOSITORY = Path(__file__).parents[2]
RTL = REPOSITORY / "rtl"

icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog")


@pytest.fixture
def cli() -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)
    rtl_commands.register(app)
    return app


@pytest.fixture
def rtl_copy(tmp_path: Path) -> Path:
    folder = tmp_path / "rtl"
    shutil.copytree(RTL, folder)
    return folder


def plant(folder: Path, module: str, old: str, new: str) -> None:
    """Replace `old`, which must be there once, in a module of a copy of rtl/."""
    path = folder / "decoder" / "src" / f"{module}.sv"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{module} must hold {old!r} once"
    path.write_text(text.replace(old, new), encoding="utf-8")


@icarus
@pytest.mark.slow
def test_lockstep_holds_and_every_report_is_written(cli: typer.Typer, tmp_path: Path) -> None:
    junit, coverage = tmp_path / "junit.xml", tmp_path / "coverage.json"
    options = ["--cycles", "20000", "--junit", str(junit), "--coverage", str(coverage)]
    result = CliRunner().invoke(cli, ["verify-rtl", *options, "-o", str(tmp_path / "kept")])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "seed 1"
    assert all("pass" in line for line in lines[1:5])
    match = re.fullmatch(r"(\d+) cycles compared: all held", lines[-1])
    assert match is not None
    assert int(match[1]) >= 20_000
    suites = ElementTree.parse(junit).getroot()
    assert {suite.get("name") for suite in suites} == {
        f"{profile}-{bits}" for profile in ("bitmap", "ans") for bits in (64, 128)
    }
    assert [suite.get("failures") for suite in suites] == ["0"] * 4
    met = json.loads(coverage.read_text(encoding="utf-8"))["configurations"]
    unmet = {
        (label, name)
        for label, part in met.items()
        for name, count in part["goals"].items()
        if count == 0
    }
    assert unmet == set()
    assert not (tmp_path / "kept").exists()


PLANTED = {
    "field starts one bit late": (
        "azsim_decoder_extract",
        "8'(i) * {4'd0, value_bits_q[3:0]}",
        "8'(i) * {4'd0, value_bits_q[3:0]} + (i == 9 ? 8'd1 : 8'd0)",
        re.compile(r"out_data must be [0-9a-f]+, not [0-9a-f]+"),
    ),
    "window takes one word too many": (
        "azsim_decoder_sequencer",
        "fill_q <= 10'(512 - PortBits)",
        "fill_q <= 10'(513 - PortBits + 63)",
        re.compile(r"in_ready must be 0, not 1"),
    ),
    "beat fires one bit early": (
        "azsim_decoder_sequencer",
        "fill_q >= 10'd256 || rem_q",
        "fill_q >= 10'd193 || rem_q",
        re.compile(r"(out_valid|in_ready) must be [01], not [01]"),
    ),
}


@icarus
@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found_and_its_case_named(
    bug: str, rtl_copy: Path, tmp_path: Path
) -> None:
    module, old, new, complaint = PLANTED[bug]
    plant(rtl_copy, module, old, new)
    run = verify_rtl(4_000, rtl_copy, output=tmp_path / "kept")
    assert not run.passed
    found = [outcome.result.mismatch for outcome in run.outcomes if outcome.result.mismatch]
    assert found
    assert any(complaint.fullmatch(mismatch.text) for mismatch in found), [str(m) for m in found]
    assert all(mismatch.case for mismatch in found)
    for folder in run.kept:
        assert (folder / "waves.fst").stat().st_size > 0
        assert (folder / "manifest.json").is_file()


@icarus
def test_a_failing_vector_is_kept(rtl_copy: Path, tmp_path: Path) -> None:
    maker = CaseMaker(Random(8))
    maker.good(Mode(1, width=2), ones=[9])
    write_vectors(tmp_path / "v", maker.cases, "ans")
    plant(rtl_copy, "azsim_decoder_crc", "crc_o       = ~crc_q", "crc_o       = crc_q")
    run = verify_rtl(1, rtl_copy, vectors=tmp_path / "v", output=tmp_path / "kept")
    assert len(run.kept) == len(run.outcomes) == 2
    for folder in run.kept:
        assert load_vectors(folder)[1][0].words == maker.cases[0].words
        assert (folder / "waves.fst").stat().st_size > 0
        assert "out_error must be 0, not 9" in (folder / "mismatch.txt").read_text()


def test_goals_not_met_fail_a_full_run_only() -> None:
    job = Job("x", [], "azsim_decoder", Configuration("bitmap", 64), 1, 100)
    outcome = Outcome(job, Result(100))
    assert len(outcome.missing) == outcome.goals > 50
    short, full = Verification(1, [outcome]), Verification(1, [outcome], full=True)
    assert (short.passed, full.passed, full.held) == (True, False, True)
    lines = rtl_commands.report_lines(full, with_coverage=True)
    assert lines[2].startswith("bitmap-64 not met: mode DENSE+FIXED, ")
    assert lines[-1] == "100 cycles compared: all held, but goals not met: FAILED"
    assert "bitmap-64 not reached: " in "\n".join(rtl_commands.report_lines(short, True))
    suite = ElementTree.fromstring(junit_text(full))[0]
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert ElementTree.fromstring(junit_text(short))[0].get("failures") == "0"


@icarus
def test_a_plain_seed_replays_a_run(cli: typer.Typer, tmp_path: Path) -> None:
    words = ["verify-rtl", "--replay", "23", "--cycles", "8", "-o", str(tmp_path / "kept")]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("seed 23\n")
    assert "ans-128 not reached: " in result.output


@icarus
def test_bits_left_over_are_looked_at(rtl_copy: Path, tmp_path: Path) -> None:
    plant(rtl_copy, "azsim_decoder", "(view[63:0] & rest_mask) != '0", "(&view[63:0] & 1'b0)")
    names = [name for name, _, _ in recipes("bitmap")]
    label = f"bitmap-64:1.{names.index('trailing bits')}"
    run = verify_rtl(1, rtl_copy, replay=label, output=tmp_path / "kept")
    mismatch = run.outcomes[0].result.mismatch
    assert mismatch is not None
    assert mismatch.text == "out_error must be 6, not 0"
    assert re.fullmatch(r"RAW\+FIXED3 x1, bit \d+ flipped and sealed", mismatch.case)


@icarus
def test_a_failing_label_fails_again_alone(
    cli: typer.Typer, rtl_copy: Path, tmp_path: Path
) -> None:
    plant(rtl_copy, "azsim_decoder_lane", "next_o[15:8] == '0", "next_o[15:7] == '0")
    options = ["--rtl", str(rtl_copy), "-o", str(tmp_path / "kept")]
    label = "ans-128:5.0"
    result = CliRunner().invoke(cli, ["verify-rtl", "--replay", label, *options])
    assert result.exit_code == 1
    assert f"replay: azsim verify-rtl --replay {label}\n" in result.output
    assert result.output.endswith("cycles compared: FAILED\n")
    good = CliRunner().invoke(cli, ["verify-rtl", "--replay", label, "-o", str(tmp_path / "kept")])
    assert good.exit_code == 0, good.output


@icarus
def test_a_decoder_that_never_settles_is_ended(
    rtl_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("azsim.rtl_check.runner.START_SECONDS", 6)
    monkeypatch.setattr("azsim.rtl_check.runner.ONE_SCENARIO_CYCLES", 100)
    plant(rtl_copy, "azsim_decoder", "assign advance = !out_valid_o || out_ready_i;",
          "assign advance = !out_valid_o || out_ready_i;\n"
          "  logic loop;\n  always @* if (in_valid_i && rst_ni) forever loop = ~loop;")  # fmt: skip
    run = verify_rtl(10, rtl_copy, replay="bitmap-64:1.1", output=tmp_path / "kept")
    assert not run.passed
    assert re.match(r"bitmap-64: no result: nothing after \d+ s", str(run.outcomes[0].complaint))


@icarus
def test_a_top_of_the_users_own(rtl_copy: Path, tmp_path: Path) -> None:
    source = rtl_copy / "decoder" / "src"
    text = (source / "azsim_decoder.sv").read_text(encoding="utf-8")
    own = text.replace("module azsim_decoder #(", "module my_decoder #(")
    (source / "my_decoder.sv").write_text(own, encoding="utf-8")
    run = verify_rtl(500, rtl_copy, top="my_decoder", output=tmp_path / "kept")
    assert run.passed


@icarus
def test_real_tiles_run_as_vectors(cli: typer.Typer, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    weights = (rng.laplace(0, 6, (16, 96)).round() * (rng.random((16, 96)) < 0.6)).astype(np.int8)
    save_npy(tmp_path / "w.npy", weights)
    folder = str(tmp_path / "vectors")
    options = ["--tile", "1", "--tile-weights", "512", "--profile", "ans", "-o", folder]
    made = CliRunner().invoke(cli, ["vectors", str(tmp_path / "w.npy"), *options])
    assert made.exit_code == 0, made.output
    run = CliRunner().invoke(cli, ["verify-rtl", "--vectors", folder])
    assert run.exit_code == 0, run.output
    assert "ans-128" in run.output


def test_vectors_of_a_stream_come_back(cli: typer.Typer, tmp_path: Path) -> None:
    weights = np.arange(-256, 256, dtype=np.int64).astype(np.int8).reshape(2, 256)
    stream = encode_tensor(weights, tile=256)
    save_stream(stream, tmp_path / "w.azw")
    result = CliRunner().invoke(
        cli, ["vectors", str(tmp_path / "w.azw"), "--tile", "1", "-o", str(tmp_path / "v")]
    )
    assert result.exit_code == 0, result.output
    profile, cases = load_vectors(tmp_path / "v")
    assert profile == "bitmap"
    (case,) = cases
    assert case.words == tuple(int(word) for word in stream.tile_words(1))
    assert (case.tile_index, case.groups, case.table) == (1, 1, False)
    entry = json.loads((tmp_path / "v" / "manifest.json").read_text(encoding="utf-8"))["cases"][0]
    # 33 words, a header beat, 16 beats of 128 bits. 64-bit port: the header fires in cycle 4, then
    # one beat in two cycles, 5 to 33, by when all words are in: the 16th fires in 34. 128-bit port:
    # the header in cycle 2, then one beat per cycle, 3 to 18.
    assert entry["cycles"] == {"64": 35, "128": 19}
    beats = (tmp_path / "v" / "000_tile_beats.hex").read_text(encoding="utf-8").split()
    assert len(beats) == 16
    assert {len(beat) for beat in beats} == {35}
    assert beats[0] == "043" + "0f0e0d0c0b0a09080706050403020100"
    assert beats[-1].startswith("0c3")


BAD_USE = {
    "--cycles: must be 1 to 1000000000, not 0": {"cycles": 0},
    "--seed: must be 0 to 999999999999999999, not -1": {"seed": -1},
    "--top: must be the name of a module, not a;b": {"top": "a;b"},
    "--replay: must be a printed seed such as ans-128:7.23, not 12.3": {"replay": "12.3"},
    "--rtl: /nowhere: must be a copy of rtl/ with decoder/azsim_decoder.f": {
        "rtl": Path("/nowhere")
    },
    "--replay: must not be given together with --vectors": {
        "replay": "ans-64:1.0",
        "vectors": Path("v"),
    },
}


@icarus
@pytest.mark.parametrize("message", BAD_USE)
def test_bad_use_is_refused(message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        verify_rtl(**BAD_USE[message])  # type: ignore[arg-type]


@icarus
def test_sources_that_do_not_compile_are_bad_use(rtl_copy: Path, tmp_path: Path) -> None:
    plant(rtl_copy, "azsim_decoder_crc", "assign crc_o       = ~crc_q;", "assign crc_o = ~crc_p;")
    with pytest.raises(ConfigError, match=r"^bitmap-64: the sources must compile: .*crc_p"):
        verify_rtl(10, rtl_copy, replay="bitmap-64:1.0", output=tmp_path / "kept")


def test_a_missing_source_is_named(rtl_copy: Path) -> None:
    (rtl_copy / "decoder" / "src" / "azsim_decoder_crc.sv").unlink()
    with pytest.raises(ConfigError, match=r"azsim_decoder_crc\.sv must be a file of .*src$"):
        rtl_sources(rtl_copy)


HOSTILE = {
    "{": "must be JSON",
    "[]": "must be a manifest of version 1",
    '{"version": 1, "profile": "x", "cases": []}': "profile must be one of bitmap, ans",
    '{"version": 1, "profile": "ans", "cases": []}': "cases must be a list of 1 to 10000",
    '{"version": 1, "profile": "ans", "cases": [1]}': "each case must be an object",
    '{"version": 1, "profile": "ans", "cases": [{"name": "../a"}]}': (
        "name must be 1 to 80 letters, digits and _"
    ),
    '{"version": 1, "profile": "ans", "cases": [{"name": "a", "tile_index": 1.5}]}': (
        "a: tile_index must be 0 to 4294967295"
    ),
    '{"version": 1, "profile": "ans", "cases": [{"name": "a", "tile_index": 1, "groups": 0}]}': (
        "a: groups must be 1 to 256"
    ),
}


@pytest.mark.parametrize("manifest", HOSTILE)
def test_a_hostile_manifest_is_refused(manifest: str, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(manifest, encoding="utf-8")
    with pytest.raises(StreamError, match=f"^{re.escape(f'{path}: {HOSTILE[manifest]}')}$"):
        load_vectors(tmp_path)


def test_hostile_words_are_refused(tmp_path: Path) -> None:
    write_vectors(tmp_path, [Case("tile", (3 | 1 << 18,))], "bitmap")
    path = tmp_path / "000_tile_words.hex"
    for text, problem in {
        "": f"{path}: must hold 1 to 16383 words, not 0",
        "12\nxyz\n": f"{path}:2: must be 1 to 16 hexadecimal digits",
        "1" * 17: f"{path}:1: must be 1 to 16 hexadecimal digits",
    }.items():
        path.write_text(text, encoding="utf-8")
        with pytest.raises(AzsimError, match=f"^{re.escape(problem)}$"):
            load_vectors(tmp_path)


# ---- the sources themselves ----


@pytest.mark.skipif(shutil.which("verilator") is None, reason="needs Verilator")
@pytest.mark.parametrize("profile", [0, 1])
@pytest.mark.parametrize("port_bits", [64, 128])
def test_verilator_has_nothing_to_say(profile: int, port_bits: int) -> None:
    command = ["verilator", "--lint-only", "-Wall", "-sv", "--top-module", "azsim_decoder"]
    command += [f"-GPortBits={port_bits}", f"-GProfile={profile}"]
    done = subprocess.run(
        [*command, *map(str, rtl_sources(RTL))], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("yosys") is None, reason="needs yosys")
@pytest.mark.parametrize("profile", [0, 1])
def test_yosys_finds_no_problem(profile: int) -> None:
    reads = "".join(f"read_verilog -sv {path}; " for path in rtl_sources(RTL))
    script = f"{reads} chparam -set Profile {profile} -set PortBits 128 azsim_decoder; "
    script += "hierarchy -check -top azsim_decoder; proc; check -assert"
    done = subprocess.run(
        ["yosys", "-q", "-p", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "latch" not in (done.stdout + done.stderr).lower()


def test_one_module_per_file_under_its_name() -> None:
    listed = (RTL / "decoder" / "azsim_decoder.f").read_text(encoding="utf-8").split()
    there = [f"src/{path.name}" for path in sorted((RTL / "decoder" / "src").glob("*.sv"))]
    assert sorted(listed) == there
    for path in (RTL / "decoder" / "src").glob("*.sv"):
        names = re.findall(
            r"^(?:module|package) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE
        )
        assert names == [path.stem]


def test_each_point_of_the_test_plan_has_its_tests() -> None:
    plan = yaml.safe_load((RTL / "decoder" / "testplan.yaml").read_text(encoding="utf-8"))
    tests = {
        f"{path.name}::{name}"
        for path in Path(__file__).parent.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    named = set()
    for point in plan["testpoints"]:
        assert set(point) == {"name", "what", "tests"}
        assert point["tests"]
        named |= set(point["tests"])
    assert named - tests == set()
    assert tests - named == set()


# ---- tiles of a program, the compiled run ----


def hand_made_program(cases: list[Case]) -> Program:
    """A program of one unit that fetches and decodes `cases`, a raw tile first."""
    image = bytearray(256)
    commands = [(isa.DMA_W, isa.FETCH, (0, 256, 0)), (isa.DECODE, isa.RAW, (0, 1, 0))]
    for case in cases:
        fetch = (len(image), 8 * len(case.words), 0)
        commands.append((isa.DMA_W, isa.FETCH, fetch))
        opcode = isa.TABLE if case.table else isa.TILE
        slot = case.words[0] >> 7 & 3 if case.table else 0
        commands.append((isa.DECODE, opcode, (slot, case.groups, case.tile_index)))
        image += np.array(case.words, "<u8").tobytes()
    array = np.zeros(len(commands), isa.COMMAND)
    for record, (engine, opcode, args) in zip(array, commands, strict=True):
        record["engine"], record["opcode"] = engine, opcode
        record["arg"][: len(args)] = args
    none = np.zeros(0, np.int64)
    dram = np.frombuffer(bytes(image), np.uint8)
    return Program(
        "net", "tiny", "0", array, none, none, np.zeros(0, TILE_DTYPE), (), dram,
        np.zeros(0, np.uint8), dram.size, 0, (), (),
    )  # fmt: skip


def test_tiles_of_a_program_come_with_their_tables() -> None:
    maker = CaseMaker(Random(3))
    old = maker.table(1)
    first = maker.good(Mode(2, True, slot=1), 2)
    new = maker.table(1, palette=True)
    second = maker.good(Mode(0, True, True, slot=1))
    program = hand_made_program([old, first, new, second])
    for tile, table, case in ((0, old, first), (1, new, second)):
        cases = program_tile(program, tile)
        assert [item.words for item in cases] == [table.words, case.words]
        assert [item.table for item in cases] == [True, False]
        assert (cases[1].tile_index, cases[1].groups) == (case.tile_index, case.groups)
    with pytest.raises(ConfigError, match=r"^--tile: must be 0 to 1 \(net\), not 2$"):
        program_tile(program, 2)
    with pytest.raises(
        ConfigError, match=r"^--tile: net must have compressed tiles, and has none$"
    ):
        program_tile(hand_made_program([]), 0)


@pytest.mark.slow
@pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("verilator", "g++")), reason="needs Verilator, g++"
)
def test_the_volume_run_compares_every_cycle(tmp_path: Path) -> None:
    configuration = Configuration("bitmap", 64)
    replay = Replay(build(configuration, RTL, tmp_path))
    scenarios = [make_scenario(configuration, 1, number) for number in range(6)]
    for scenario in scenarios:
        for inputs, sample in run_model_alone(scenario, configuration, Coverage()):
            replay.add(scenario.label, inputs, sample)
    wanted = [list(words) for words in replay.outputs]
    given, starts = list(replay.inputs), list(replay.starts)
    assert replay.flush() is None
    for column in range(5):  # each output word is looked at, in the last scenario too
        cycle = max(t for t, words in enumerate(wanted) if words[0] & 2)
        changed = [list(words) for words in wanted]
        changed[cycle][column] ^= 4
        replay.inputs, replay.outputs, replay.starts = list(given), changed, list(starts)
        assert replay.flush() == (
            f"bitmap-64:1.5: cycle {cycle - starts[-1][0]} differs: "
            "azsim verify-rtl --replay bitmap-64:1.5"
        )
    replay.close()
