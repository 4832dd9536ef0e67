"""Build a decoder with Icarus Verilog and run the bench on it.

`python -m azsim.rtl_check.simulate JOB`: a process of its own, so that its caller can end it, and
so that it may leave what it prints in a log. Exit code 3: the sources did not compile.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from azsim.rtl_check.job import Job

NOT_BUILT = 3


def main(path: str) -> int:
    """Do the job of file `path`; return the exit code."""
    from cocotb_tools.runner import get_runner  # not installed where no RTL is verified

    job = Job.load(Path(path))
    runner = get_runner("icarus")
    folder = Path(job.folder)
    parameters = {
        "PortBits": job.configuration.port_bits,
        "Profile": int(job.configuration.profile == "ans"),
    }
    try:
        runner.build(
            sources=job.sources,
            hdl_toplevel=job.top,
            parameters=parameters,
            build_dir=folder / "build",
            timescale=("1ns", "1ps"),
            build_args=["-g2012"],
            waves=job.waves,
            always=True,
        )
    except Exception as error:  # the runner raises what its tool's exit code became
        print(error)
        return NOT_BUILT
    os.environ["AZSIM_RTL_JOB"] = str(job.path)
    runner.test(
        hdl_toplevel=job.top,
        test_module="azsim.rtl_check.bench",
        build_dir=folder / "build",
        test_dir=folder,
        results_xml=str(folder / "results.xml"),
        waves=job.waves,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
