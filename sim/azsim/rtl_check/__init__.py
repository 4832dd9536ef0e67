"""The RTL of the weight decoder against its clocked model, behind `azsim verify-rtl`.

Scenarios of tiles run in lockstep on the RTL (Icarus Verilog, cocotb) and on
`azsim_kernels.clocked.decoder_rtl`; every tile's code and weights are compared with the reference
decoder as well.
"""

from azsim.rtl_check.cases import Case
from azsim.rtl_check.runner import Verification, verify_rtl
from azsim.rtl_check.vectors import load_vectors, write_vectors

__all__ = ["Case", "Verification", "load_vectors", "verify_rtl", "write_vectors"]
