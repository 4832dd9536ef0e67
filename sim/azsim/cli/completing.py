"""Shell completion: what Tab offers for names that azsim knows itself.

Files are left to the shell. `azsim --install-completion` sets completion up for bash, zsh, fish or
PowerShell; the shell then runs azsim with `_AZSIM_COMPLETE` set.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

COMPLETION_VARIABLE = "_AZSIM_COMPLETE"


def answer_completion() -> None:
    """If a shell asks what could come next, answer and end the process; else do nothing."""
    if os.environ.get(COMPLETION_VARIABLE):
        from azsim.cli.app import full_app

        full_app()(prog_name="azsim", complete_var=COMPLETION_VARIABLE)


def complete_chip(incomplete: str) -> list[str]:
    """Names of shipped chips."""
    from azsim.config.load import chip_names

    return _beginning(incomplete, chip_names())


def complete_traffic(incomplete: str) -> list[str]:
    """Names of shipped traffic patterns."""
    from azsim.config.host_traffic import traffic_names

    return _beginning(incomplete, traffic_names())


def complete_net(incomplete: str) -> list[str]:
    """Nets of the zoo, as NAME or NAME:PART."""
    from azsim.zoo import zoo_table

    return _beginning(incomplete, [entry.full_name for entry in zoo_table()])


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
