"""Lockstep of one scenario: drives a decoder's ports, predicts every cycle, compares.

Knows no simulator. Per cycle: `drive` says what the inputs are, `check` takes what the outputs
were and runs the clocked model for the cycle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from azsim.rtl_check.cases import Case
from azsim.rtl_check.coverage import CORNER_ONES, Coverage
from azsim.rtl_check.scenarios import PROFILES, Configuration, Scenario
from azsim.rtl_check.software import SoftwareDecoder, TileBuffer
from azsim_kernels import tile_errors
from azsim_kernels.clocked.decoder_beats import KIND_MASK
from azsim_kernels.clocked.decoder_rtl import DecoderRtl, InputWord, OutputBeat
from azsim_kernels.tile_format import PROFILE_ANS, WINDOW_BITS

RESET_CYCLES = 2
FIRST_RESET = 12
"""How much likelier the first reset in a situation is than the next ones."""
QUIET_CYCLES = 4
"""Cycles watched after the last tile: nothing more may come out."""


@dataclass(frozen=True)
class Inputs:
    """The decoder's inputs in one cycle; `valid` says whether `word` is offered."""

    reset: bool
    valid: bool
    word: InputWord
    ready: bool


@dataclass(frozen=True)
class Sample:
    """The decoder's outputs in one cycle; `beat` is looked at only if `valid`."""

    in_ready: bool
    valid: bool
    beat: OutputBeat | None


@dataclass(frozen=True)
class Mismatch:
    """The first cycle of a scenario in which something did not hold."""

    label: str
    scenario: str
    case: str
    cycle: int
    text: str

    def __str__(self) -> str:
        return f"{self.label} ({self.scenario}), cycle {self.cycle}, {self.case}: {self.text}"


@dataclass
class _Flight:
    """A case whose first word was accepted and whose end has not come out."""

    case: Case
    code: int
    weights: list[int]
    buffer: TileBuffer


def port_words(case: Case, port_bits: int, random: Random) -> list[InputWord]:
    """Return what goes over a port of `port_bits` for a case.

    What the decoder must not look at is noise: sidebands after the first word, the upper half of
    a half-filled last word.
    """
    step = port_bits // 64
    words = []
    for first in range(0, len(case.words), step):
        part = case.words[first : first + step]
        last = first + step >= len(case.words)
        half = len(part) < step
        if half:
            part = (*part, random.getrandbits(64))
        data = sum(word << 64 * k for k, word in enumerate(part))
        if first == 0:
            words.append(InputWord(data, last, half, case.tile_index, case.groups, case.table))
        else:
            noise = random.getrandbits(40)
            flag = half if last else bool(noise & 1)
            words.append(
                InputWord(data, last, flag, noise >> 8, 1 + (noise & 255), bool(noise & 2))
            )
    return words


class Lockstep:
    """One scenario against one decoder."""

    def __init__(
        self, scenario: Scenario, configuration: Configuration, coverage: Coverage
    ) -> None:
        self.scenario = scenario
        self.configuration = configuration
        self.coverage = coverage
        self.random = Random(scenario.seed)
        self.noise = self.random.getrandbits(128)
        profile = PROFILES[configuration.profile]
        self.ans = profile == PROFILE_ANS
        self.model = DecoderRtl(configuration.port_bits, profile)
        self.software = SoftwareDecoder(profile)
        self.cases = iter(scenario.cases)
        self.queue: deque[InputWord] = deque()
        self.next_case: Case | None = None  # the case whose first word heads the queue
        self.flights: deque[_Flight] = deque()
        self.quiet = 0
        self.cycle = 0
        self.resetting = RESET_CYCLES
        self.offering = False
        self.runs = {"valid": (0, False), "ready": (0, False)}
        self.reset_in: set[str] = set()  # situations that a reset has met
        self.ended_in: int | None = None
        self.discarded = 0
        self.group_ones = (0, 0)
        self.inputs = self._decide()
        self.hold_before = 0
        coverage.hit(f"pattern {scenario.pattern.name}")

    @property
    def done(self) -> bool:
        """Whether all tiles came out and nothing came after them."""
        return self.quiet >= QUIET_CYCLES

    def drive(self) -> Inputs:
        """Return the inputs of the coming cycle."""
        return self.inputs

    def check(self, sample: Sample) -> Mismatch | None:
        """Compare the outputs of the cycle, run the model for it, decide the next inputs."""
        inputs = self.inputs
        text = None
        if inputs.reset:
            if sample.valid:
                text = "out_valid must be 0 in reset, not 1"
            self._reset()
        else:
            text = self._compare(sample) or self._collect(sample, inputs)
            self._cover_cycle(inputs)
            self._tick(inputs)
        mismatch = self.complain(text) if text else None
        self.cycle += 1
        self.inputs = self._decide()
        return mismatch

    def complain(self, text: str) -> Mismatch:
        """Return the mismatch `text` of this cycle."""
        case = self.flights[0].case if self.flights else self.next_case
        name = case.name if case else "after the last case"
        return Mismatch(self.scenario.label, self.scenario.name, name, self.cycle, text)

    # ---- inputs ----

    def _chance(self, kind: str, percent: int) -> bool:
        """Draw a decision that holds for a run of cycles."""
        if percent == 100:
            return True
        left, value = self.runs[kind]
        if left == 0:
            left = self.random.randint(1, self.scenario.pattern.run_cycles)
            value = self.random.randrange(100) < percent
        self.runs[kind] = (left - 1, value)
        return value

    def _decide(self) -> Inputs:
        pattern = self.scenario.pattern
        if not self.queue:
            self._load_case()
        may_reset = self.resetting == 0 and pattern.resets > 0 and bool(self.queue)
        if may_reset:
            chance = pattern.resets * (1 if self._situation() in self.reset_in else FIRST_RESET)
            if self.random.randrange(1000) < chance:
                self.resetting = RESET_CYCLES
        reset = self.resetting > 0
        ready = self._chance("ready", pattern.ready)
        # An offer stands until it is taken.
        self.offering = bool(self.queue) and (self.offering or self._chance("valid", pattern.valid))
        valid = self.offering and not reset
        word = self.queue[0] if valid else self._noise_word()
        return Inputs(reset, valid, word, ready)

    def _situation(self) -> str:
        """Where a reset would meet the decoder."""
        return "copying" if self.model.hold_cycles > 0 else self.model.state

    def _load_case(self) -> None:
        self.next_case = next(self.cases, None)
        if self.next_case is not None:
            words = port_words(self.next_case, self.configuration.port_bits, self.random)
            self.queue.extend(words)

    def _noise_word(self) -> InputWord:
        self.noise = self.noise * 6364136223846793005 + 1442695040888963407 & (1 << 128) - 1
        n = self.noise >> 64
        data = self.noise & ((1 << self.configuration.port_bits) - 1)
        return InputWord(
            data, bool(n & 1), bool(n & 2), n >> 8 & 0xFFFFFFFF, 1 + (n >> 40 & 255), bool(n & 4)
        )

    def _reset(self) -> None:
        if self.resetting == RESET_CYCLES and self.cycle > 0:
            self.reset_in.add(self._situation())
            self.coverage.hit(f"reset in {self._situation()}")
        self.resetting -= 1
        if self.flights or self.model.state != "idle":
            started = self.next_case is not None and self._partly_sent()
            if started:
                self.queue.clear()
        self.offering = False
        self.flights.clear()
        self.model.reset()
        self.software.reset()
        self.ended_in = None

    def _partly_sent(self) -> bool:
        assert self.next_case is not None
        whole = -(-len(self.next_case.words) // (self.configuration.port_bits // 64))
        return len(self.queue) < whole

    # ---- outputs ----

    def _compare(self, sample: Sample) -> str | None:
        model = self.model
        if sample.in_ready != model.in_ready:
            return f"in_ready must be {int(model.in_ready)}, not {int(sample.in_ready)}"
        want = model.output
        if sample.valid != (want is not None):
            return f"out_valid must be {int(want is not None)}, not {int(sample.valid)}"
        if want is None or sample.beat is None:
            return None
        for name in ("kind", "count", "data", "last", "error"):
            expected, found = getattr(want, name), getattr(sample.beat, name)
            if name == "error" and not want.last:
                expected = 0
            if int(expected) != int(found):
                form = "x" if name == "data" else "d"
                return f"out_{name} must be {int(expected):{form}}, not {int(found):{form}}"
        return None

    def _collect(self, sample: Sample, inputs: Inputs) -> str | None:
        """Take the output into the tile buffer; at a tile's end compare with software."""
        if sample.beat is None or not inputs.ready:
            return None
        if not self.flights:
            return "a beat came out and no tile was sent"
        flight = self.flights[0]
        flight.buffer.put(sample.beat)
        if not sample.beat.last:
            return None
        case = flight.case
        complaint = flight.buffer.complaint(
            sample.beat.error, flight.code, flight.weights, case.table
        )
        if complaint:
            return complaint
        self.flights.popleft()
        self.coverage.hit(f"code {tile_errors.NAMES[flight.code]}")
        if flight.code == tile_errors.OK:
            self.coverage.header(case.words[0])
        return None

    # ---- the cycle itself ----

    def _tick(self, inputs: Inputs) -> None:
        model = self.model
        accepted = inputs.valid and model.in_ready
        was, hold = model.state, model.hold_cycles
        if accepted and was == "idle":
            assert self.next_case is not None
            code, weights = self.software.decode(self.next_case)
            self.flights.append(
                _Flight(self.next_case, code, weights, TileBuffer(self.next_case.groups))
            )
        model.tick(inputs.word if inputs.valid else None, inputs.ready)
        self._cover_tile(was, hold, accepted, inputs)
        if accepted:
            self.queue.popleft()
            self.offering = False
        idle = not self.queue and self.next_case is None and not self.flights
        self.quiet = self.quiet + 1 if idle else 0

    def _cover_cycle(self, inputs: Inputs) -> None:
        model = self.model
        full = (
            model.state == "run" and model.window.fill + self.configuration.port_bits > WINDOW_BITS
        )
        stalled = model.output is not None and not inputs.ready
        if inputs.valid and full and not model.in_ready:
            self.coverage.hit("port waits")
        if model.in_ready and not inputs.valid and model.state == "run":
            self.coverage.hit("port idle")
        if stalled:
            self.coverage.hit("output stalled")
            if full:
                self.coverage.hit("output stalled while the window is full")

    def _cover_tile(self, was: str, hold: int, accepted: bool, inputs: Inputs) -> None:
        model, cover = self.model, self.coverage.hit
        if accepted and was == "idle":
            if self.ended_in == self.cycle - 1:
                cover("port back to back")
            self.discarded = 0
            self.group_ones = (0, 0)
        if (
            accepted
            and inputs.word.last
            and inputs.word.half
            and self.configuration.port_bits == 128
        ):
            cover("port half word")
        if accepted and was == "drain":
            self.discarded += 1
        if was != "idle" and model.state == "idle":
            self.ended_in = self.cycle
            if model.error != tile_errors.OK:
                amount = ("no word", "one word", "more words")[min(2, self.discarded)]
                cover(f"discarded {amount}")
        beat = model.fired
        if beat is not None:
            self._cover_beat(hold)

    def _cover_beat(self, hold: int) -> None:
        model, cover = self.model, self.coverage.hit
        beat = model.fired
        assert beat is not None
        if beat.kind == KIND_MASK:
            quarters, ones = self.group_ones
            quarters, ones = quarters + 1, ones + beat.data.bit_count()
            if quarters == 4:
                if ones in CORNER_ONES:
                    cover(f"ones of a group {ones}")
                quarters = ones = 0
            self.group_ones = (quarters, ones)
        if hold == 0 and model.hold_cycles > 0:
            cover(f"table copied in {model.hold_cycles}")
        elif model.header_fired_now and model.header.uses_table:
            cover("table loaded before")
        if model.tile is not None and beat.bits and model.tile.contexts and beat.last:
            for context in model.tile.contexts:
                cover(f"context {context}")


def run_model_alone(
    scenario: Scenario, configuration: Configuration, coverage: Coverage
) -> Iterator[tuple[Inputs, Sample]]:
    """Yield (inputs, outputs the model predicts) of each cycle of a scenario.

    For simulators that take a whole scenario at once. Raises AssertionError if model and software
    do not agree on a tile.
    """
    lockstep = Lockstep(scenario, configuration, coverage)
    while not lockstep.done:
        inputs = lockstep.drive()
        model = lockstep.model
        beat = None
        if not inputs.reset and model.output is not None:
            beat = OutputBeat(**vars(model.output))
        sample = Sample(model.in_ready, beat is not None, beat)
        mismatch = lockstep.check(sample)
        assert mismatch is None, str(mismatch)
        yield inputs, sample
