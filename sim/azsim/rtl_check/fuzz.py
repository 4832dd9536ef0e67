"""Damaged streams against the software decoders: `make fuzz`, and fewer of them in the tests.

A mutation is a tile, a TABLE record or a whole container with something wrong. What must hold:

* damage that the CRC covers is an error, or the weights are the good ones;
* with the CRC made to fit again, any code is right that the reference decoder says too;
* a tile with an error delivers nothing; a damaged container is a StreamError or the good weights.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import numpy as np
from numpy.typing import NDArray

from azsim.codec import Stream, decode_tensor, encode_tensor
from azsim.codec.words import WordDecoder
from azsim.errors import StreamError
from azsim.rtl_check.cases import Case, CaseMaker
from azsim.rtl_check.software import SoftwareDecoder
from azsim_kernels import tile_errors
from azsim_kernels.tile_format import PROFILE_ANS, PROFILE_BITMAP

ROUND = 40
"""Mutations of one set of tables."""

COMPARED = 7  # odd: good ones and damaged ones alternate
"""Every so many mutations are compared with the reference decoder, which is slow."""


@dataclass
class Findings:
    """What a run met: mutations, how often each code, and what did not hold."""

    mutations: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)


class KernelDecoder:
    """The compiled decoder with its table slots."""

    def __init__(self, profile: int) -> None:
        self.words = WordDecoder(profile)

    def decode(self, case: Case) -> tuple[int, list[int]]:
        """Return (status code, weights; none for a record)."""
        if case.table:
            return self.words.load_record(case.words), []
        code, weights = self.words.decode(case.words, case.tile_index, case.groups)
        return code, weights.tolist()


def mutated_cases(random: Random) -> Iterator[tuple[Case, bool]]:
    """Yield (case, whether the CRC was made to fit again); good ones come between."""
    maker = CaseMaker(random)
    for slot in range(2):
        yield maker.table(slot, random.random() < 0.5), True
    for _ in range(ROUND):
        good = maker.random_good(True)
        yield good, True
        damaged = maker.damage(good)
        sealed = "sealed" in damaged.name or "LEN" in damaged.name
        yield damaged, sealed or damaged.words == good.words


def check_tiles(random: Random, findings: Findings, profile: int) -> None:
    """Decode one round of mutated tiles and records."""
    kernel, reference = KernelDecoder(profile), SoftwareDecoder(profile)
    good: list[int] = []
    for number, (case, sealed) in enumerate(mutated_cases(random)):
        code, weights = kernel.decode(case)
        findings.mutations += 1
        findings.codes[tile_errors.NAMES[code]] += 1
        if code != tile_errors.OK and any(weights):
            findings.complaints.append(f"{case.name}: {tile_errors.NAMES[code]} delivers weights")
        if code == tile_errors.OK and not sealed and weights != good:
            findings.complaints.append(f"{case.name}: other weights delivered as good")
        if case.table or number % COMPARED == 0:  # records must reach both
            other = reference.decode(case)
            if other[0] != code or other[1] != weights:
                named = tile_errors.NAMES[other[0]]
                findings.complaints.append(
                    f"{case.name}: {tile_errors.NAMES[code]}, the reference says {named}"
                )
        if sealed:
            good = weights


def check_containers(random: Random, findings: Findings) -> None:
    """Decode mutated containers of one tensor."""
    rng = np.random.default_rng(random.getrandbits(32))
    shape = (random.randint(1, 8), random.randint(1, 400))
    weights = (rng.laplace(0, 4, shape).round() * (rng.random(shape) < 0.5)).astype(np.int8)
    profile = random.choice(("bitmap", "ans"))
    stream = encode_tensor(weights, profile=profile, tile=256 * random.randint(1, 4))
    data = np.frombuffer(stream.to_bytes(), np.uint8)
    for _ in range(ROUND):
        damaged = damaged_bytes(data, random)
        findings.mutations += 1
        try:
            found = decode_tensor(Stream.from_bytes(damaged.tobytes()))
        except StreamError as error:
            findings.codes["container refused"] += 1
            if "\n" in str(error):
                findings.complaints.append(f"container: a message of several lines: {error}")
            continue
        findings.codes["container good"] += 1
        if not np.array_equal(found, weights):
            findings.complaints.append("container: other weights delivered as good")


def damaged_bytes(data: NDArray[np.uint8], random: Random) -> NDArray[np.uint8]:
    """Return a container with bits flipped, words exchanged, bytes cut or added."""
    damaged = data.copy()
    kind = random.randrange(5)
    if kind < 2:
        for _ in range(random.choice((1, 1, 2, 8))):
            damaged[random.randrange(damaged.size)] ^= 1 << random.randrange(8)
    elif kind == 2:
        count = random.choice((4, 8, 64))
        first, second = (random.randrange(max(1, damaged.size - count)) for _ in range(2))
        damaged[first : first + count] = data[second : second + count][: damaged.size - first]
    elif kind == 3:
        damaged = damaged[: random.randrange(damaged.size)]
    else:
        damaged = np.concatenate([damaged, damaged[: random.randint(1, 64)]])
    return damaged


def fuzz(mutations: int, seed: int) -> Findings:
    """Run at least so many mutations; the same seed makes the same ones."""
    random = Random(f"fuzz {seed}")
    findings = Findings()
    while findings.mutations < mutations and not findings.complaints:
        check_tiles(random, findings, PROFILE_ANS if random.random() < 0.8 else PROFILE_BITMAP)
        check_containers(random, findings)
    return findings


def main() -> int:
    """Fuzz; exit code 0 if all held, 1 if not."""
    parser = argparse.ArgumentParser(prog="fuzz", description="Damaged streams, both decoders.")
    parser.add_argument("--mutations", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=None, help="default: a new one")
    options = parser.parse_args()
    seed = time.time_ns() if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    findings = fuzz(options.mutations, seed)
    for name, count in findings.codes.most_common():
        print(f"{name:<18} {count}")
    for complaint in findings.complaints:
        print(f"WRONG {complaint}")
    verdict = "FAILED" if findings.complaints else "all held"
    print(f"{findings.mutations} mutations: {verdict}")
    return 1 if findings.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
