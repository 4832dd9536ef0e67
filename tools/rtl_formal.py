"""Prove the decoder's properties with yosys-smtbmc and z3: `make rtl-formal`.

Each property is checked from reset for some cycles (base) and by induction (step); both together
are a proof for all times. Exit code 0 if all hold, 1 if one does not, 2 if a tool is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

DECODER = Path(__file__).resolve().parents[1] / "rtl" / "decoder"


@dataclass(frozen=True)
class Proof:
    """One run: module with the assertions, its parameters, cycles of base and induction."""

    name: str
    top: str
    parameters: tuple[tuple[str, int], ...]
    depth: int


def _proofs() -> tuple[Proof, ...]:
    proofs = [
        Proof(f"{width}-bit port: window, bits, tiles", SEQUENCER, (("PortBits", width),), 3)
        for width in (64, 128)
    ]
    for profile, name in enumerate(("bitmap", "ans")):
        for width in (64, 128):
            parameters = (("PortBits", width), ("Profile", profile))
            proofs.append(Proof(f"{name}, {width}-bit port: output held", HOLD, parameters, 2))
    return tuple(proofs)


SEQUENCER, HOLD = "azsim_decoder_sequencer", "azsim_decoder_hold"
PROOFS = _proofs()
SECONDS = 600


def formula(proof: Proof, decoder: Path, folder: Path) -> Path:
    """Write the SMT-LIB formula of a proof; return its path."""
    listed = (decoder / "azsim_decoder.f").read_text(encoding="utf-8").split()
    # -formal turns on what stands under FORMAL: only that of the module to be proved.
    formal = "-formal" if proof.top == SEQUENCER else ""
    sources = " ".join(str(decoder / name) for name in listed)
    path = folder / f"{proof.top}.smt2"
    sets = "".join(f"chparam -set {name} {value} {proof.top}; " for name, value in proof.parameters)
    script = (
        f"read_verilog {formal} -sv {sources}; "
        f"read_verilog -formal -sv {decoder / 'formal' / 'azsim_decoder_hold.sv'}; {sets}"
        f"prep -flatten -top {proof.top}; memory_map; async2sync; dffunmap; opt_clean; "
        f"write_smt2 -wires {path}"
    )
    subprocess.run(["yosys", "-q", "-p", script], check=True, cwd=folder)
    return path


def holds(path: Path, depth: int, induction: bool) -> bool:
    """Return whether the solver finds no counterexample."""
    command = ["yosys-smtbmc", "-s", "z3", "--noprogress", "-t", str(depth)]
    command += ["-i"] if induction else []
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command.append(str(path))
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=SECONDS, check=False
    )
    if "Status: PASSED" in done.stdout and done.returncode == 0:
        return True
    print(done.stdout[-2000:] + done.stderr[-2000:])
    return False


def prove(proof: Proof, decoder: Path = DECODER) -> tuple[bool, bool]:
    """Return (base holds, induction step holds)."""
    with tempfile.TemporaryDirectory(prefix="azsim-formal-") as folder:
        path = formula(proof, decoder, Path(folder))
        return holds(path, proof.depth + 1, False), holds(path, proof.depth, True)


def main() -> int:
    """Prove all; print one line each."""
    here = Path(sys.executable).parent
    missing = [tool for tool in ("yosys", "yosys-smtbmc") if shutil.which(tool) is None]
    missing += ["z3"] if shutil.which("z3", path=f"{here}:{os.environ['PATH']}") is None else []
    if missing:
        print(f"rtl-formal: must be installed: {', '.join(missing)}", file=sys.stderr)
        return 2
    good = True
    for proof in PROOFS:
        base, step = prove(proof)
        verdict = "proved" if base and step else "base only" if base else "FAILED"
        print(f"{proof.name}: {verdict} (depth {proof.depth})", flush=True)
        good = good and base and step
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
