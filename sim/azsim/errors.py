"""The tree of errors a user can meet.

    AzsimError
    ├── ConfigError      a chip file, an option or a setting is wrong
    │   └── ChipRuleError  single keys of a chip are right, but do not fit together
    ├── ModelError       a model, input or stream file that cannot be taken
    │   └── CacheError   an entry of azsim's own cache is damaged
    ├── StreamError      a weight stream that is damaged or not what it says
    ├── CompileError     the graph does not fit the chip (says need and have)
    ├── SweepError       many runs could not be finished; what is done is kept
    └── SimulationError  the simulated machine stopped: deadlock, overflow, bad tile

Each message is one line: where it is, what must be what, and what it is. Only `azsim.cli` prints
them (exit code 2).
"""

from __future__ import annotations


class AzsimError(Exception):
    """Base of every error that is the user's to mend."""


class ConfigError(AzsimError):
    """A chip file, an option or a setting is wrong."""


class ChipRuleError(ConfigError):
    """Keys of a chip that do not fit together; another value of either would mend it."""


class ModelError(AzsimError):
    """A model, input or audio file that cannot be taken."""


class CacheError(ModelError):
    """An entry of azsim's own cache or journal is damaged; the text names the file to delete."""


class StreamError(AzsimError):
    """A compressed weight stream that is damaged or is not what it says."""


class CompileError(AzsimError):
    """The graph does not fit the chip; the text says need and have."""


class SweepError(AzsimError):
    """A sweep or search could not be finished; finished points are kept."""


class SimulationError(AzsimError):
    """The simulated machine stopped: deadlock, overflow or a tile that failed."""
