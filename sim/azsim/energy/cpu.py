"""The same graph on a mobile CPU, for comparison: an assumption, printed wherever it is used."""

from __future__ import annotations

from dataclasses import dataclass

from azsim.energy.amounts import AJ_PER_PJ, Amount
from azsim.energy.scaling import DramRates
from azsim.energy.table import load_table
from azsim.units import BITS_PER_BYTE

CPU_TABLE = "mobile_cpu"


@dataclass(frozen=True)
class CpuEstimate:
    """Femtojoules of `products` at `mac_pj` each, and of `weight_bytes` read from DRAM.

    Not in it: standby and refresh of the DRAM, leakage, activations.
    """

    products: int
    weight_bytes: int
    mac_aj: Amount
    products_fj: Amount
    dram_fj: Amount

    @property
    def total_fj(self) -> Amount:
        """Both parts."""
        return self.products_fj + self.dram_fj

    @property
    def assumption(self) -> str:
        """What the estimate rests on, in one line."""
        low, high = self.mac_aj.low / AJ_PER_PJ, self.mac_aj.high / AJ_PER_PJ
        return (
            f"assumed: Cortex-A53/A55 class, {low:g} to {high:g} pJ per int8 product, every "
            "product computed, all weights as int8 from the same DRAM once per frame"
        )


def mobile_cpu(products: int, weight_bytes: int, dram_table: str) -> CpuEstimate:
    """Return the estimate for a run.

    products      of all frames, those with zeros included
    weight_bytes  of all frames: one byte for each weight, read once per frame
    dram_table    energy table of the DRAM

    Raises:
        ConfigError: the table cannot be taken.
    """
    mac = DramRates(load_table(CPU_TABLE, "cpu")).energy("int8_mac").aj
    stream = DramRates(load_table(dram_table, "dram")).energy("stream").aj
    return CpuEstimate(
        products,
        weight_bytes,
        mac,
        mac.times(products).to_fj(),
        stream.times(BITS_PER_BYTE * weight_bytes).to_fj(),
    )
