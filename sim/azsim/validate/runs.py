"""All tables of `azsim validate`, by name; a further part is one more line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from azsim.errors import ConfigError
from azsim.validate.eie import eie_table
from azsim.validate.eie_energy import eie_energy_table
from azsim.validate.ese import ese_table
from azsim.validate.lpddr import lpddr_table
from azsim.validate.scalesim import scalesim_table
from azsim.validate.tables import Table
from azsim.validate.wav2letter import u55_table

TABLES: dict[str, Callable[[], Table]] = {
    "eie64": eie_table,
    "eie64_energy": eie_energy_table,
    "ese": ese_table,
    "u55_128": u55_table,
    "scalesim_ws": scalesim_table,
    "lpddr4_3200": partial(lpddr_table, "lpddr4_3200"),
    "lpddr4x_4266": partial(lpddr_table, "lpddr4x_4266"),
    "lpddr5_6400": partial(lpddr_table, "lpddr5_6400"),
}


def published_tables(names: Sequence[str] = ()) -> list[Table]:
    """Return the tables `names`, or all of them, simulated.

    Raises:
        ConfigError: there is no such table.
    """
    for name in names:
        if name not in TABLES:
            raise ConfigError(f"--table: must be {', '.join(TABLES)}, not {name}")
    return [TABLES[name]() for name in names or TABLES]
