"""Compare clocked model and fast engine on many seeds: python volume.py FIRST COUNT [STEPS].

With the word `lpddr` at the end the chips have LPDDR memories, and half of them host traffic.
Not part of the test suite: thousands of seeds take minutes. Exit code 1 at the first difference.
"""

from __future__ import annotations

import sys
from collections import Counter

from comparing import difference
from strategies import random_case, random_lpddr_case

from azsim_kernels import isa


def main(first: int, count: int, steps: int, with_lpddr: bool) -> int:
    """Compare `count` seeds from `first` on, `steps` steps each; return the exit code."""
    make = random_lpddr_case if with_lpddr else random_case
    seen: Counter[str] = Counter()
    for seed in range(first, first + count):
        found, status = difference(make(seed), steps)
        if found:
            print(f"seed {seed}: {found}")
            return 1
        seen[isa.STATUS_NAMES[status]] += 1
    print(f"seeds {first}..{first + count - 1}: equal; {dict(seen)}")
    return 0


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:] if text != "lpddr"]
    steps = numbers[2] if len(numbers) > 2 else 2
    sys.exit(main(numbers[0], numbers[1], steps, "lpddr" in sys.argv))
