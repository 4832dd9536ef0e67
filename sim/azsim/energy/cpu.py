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
    """Femtojoules of `products`, of `weight_bytes` read from DRAM, and of the DRAM's background:
    standby and refresh as beside the chip. Not in it: leakage, activations.
    """

    products: int
    weight_bytes: int
    mac_aj: Amount
    products_fj: Amount
    dram_fj: Amount
    background_fj: Amount

    @property
    def total_fj(self) -> Amount:
        """All three parts."""
        return self.products_fj + self.dram_fj + self.background_fj

    @property
    def assumption(self) -> str:
        """What the estimate rests on, in one line."""
        low, high = self.mac_aj.low / AJ_PER_PJ, self.mac_aj.high / AJ_PER_PJ
        return (
            f"assumed: Cortex-A53/A55 class, {low:g} to {high:g} pJ per int8 product, every "
            "product computed, all weights as int8 from the same DRAM once per frame, its standby "
            "and refresh as beside the chip"
        )


def mobile_cpu(
    products: int, weight_bytes: int, dram_table: str, background_fj: Amount
) -> CpuEstimate:
    """Return the estimate for a run.

    products      of all frames, those with zeros included
    weight_bytes  of all frames: one byte for each weight, read once per frame
    dram_table    energy table of the DRAM
    background_fj standby and refresh of the DRAM

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
        background_fj,
    )
