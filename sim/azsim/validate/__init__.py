"""Published machines and their published figures: does the law of the lanes explain them?"""

from azsim.validate.arrays import load_numbers
from azsim.validate.eie import EieRun, eie_array, eie_table, run_eie
from azsim.validate.eie_energy import eie_energy_table
from azsim.validate.ese import ese_table
from azsim.validate.lpddr import lpddr_table
from azsim.validate.page import validation_markdown
from azsim.validate.runs import TABLES, published_tables
from azsim.validate.scalesim import SystolicRun, run_topology, scalesim_table
from azsim.validate.skip import SkipRun, run_skip
from azsim.validate.tables import Check, Context, Table, table_json

__all__ = [
    "TABLES",
    "Check",
    "Context",
    "EieRun",
    "SkipRun",
    "SystolicRun",
    "Table",
    "eie_array",
    "eie_energy_table",
    "eie_table",
    "ese_table",
    "load_numbers",
    "lpddr_table",
    "published_tables",
    "run_eie",
    "run_skip",
    "run_topology",
    "scalesim_table",
    "table_json",
    "validation_markdown",
]
