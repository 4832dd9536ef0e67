"""The program: the contract between compiler and engine, and the only thing written to disk between
them."""

from azsim.program.disassemble import disassemble
from azsim.program.files import load_program, save_program, write_program
from azsim.program.types import TILE_DTYPE, LayerInfo, Port, Program, Region
from azsim.program.verify import ProgramLimits, verify_program

__all__ = [
    "TILE_DTYPE",
    "LayerInfo",
    "Port",
    "Program",
    "ProgramLimits",
    "Region",
    "disassemble",
    "load_program",
    "save_program",
    "verify_program",
    "write_program",
]
