"""Compare clocked model and fast engine on many seeds: python volume.py FIRST COUNT [STEPS].

Not part of the test suite: thousands of seeds take minutes. Exit code 1 at the first difference.
"""

from __future__ import annotations

import sys
from collections import Counter

from comparing import difference
from strategies import random_case

from azsim_kernels import isa


def main(first: int, count: int, steps: int) -> int:
    """Compare `count` seeds from `first` on, `steps` steps each; return the exit code."""
    seen: Counter[str] = Counter()
    for seed in range(first, first + count):
        found, status = difference(random_case(seed), steps)
        if found:
            print(f"seed {seed}: {found}")
            return 1
        seen[isa.STATUS_NAMES[status]] += 1
    print(f"seeds {first}..{first + count - 1}: equal; {dict(seen)}")
    return 0


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:]]
    sys.exit(main(numbers[0], numbers[1], numbers[2] if len(numbers) > 2 else 2))
