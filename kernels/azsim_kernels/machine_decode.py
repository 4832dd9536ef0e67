"""The decoder's time, from burst to burst (section 6 of docs/timing_model.md).

No cycle is looped over. With A[w] the cycle in which word w is accepted and F[b] the one in which
beat b fires,

    F[b] = max(F[b-1] + 1, A[last word that beat b must see] + 1, start of the command)
    A[w] = max(A[w-1] + 1, cycle in which it is visible, F[beat that must have made room] + 1)

Per word it is enough to know how many beats it sets free (SETS) and which beat it needs (NEEDS:
the word that set that beat free, counted back, and the beats after it in that word's run).

A tile that must wait for its table does so after its header beat, which is alone in its word's run:
the next beat needs 320 bits, and no such tile has fewer. From then to the next run `last_fire` is
the last cycle of that hold, in which the decoder counts as busy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.machine_types import (
    ACCEPT,
    FIRE,
    NEEDS,
    RUN,
    SETS,
    WINDOW,
    Records,
    Schedule,
)
from azsim_kernels.tile_format import FIRE_BITS, WINDOW_BITS, WORD_BITS


@kernel
def _beat_bits(beats: NDArray[np.uint16], uniform: int, beat: int) -> int:
    """Return the bits that beat number `beat` consumes; `uniform` > 0: each beat that many."""
    return uniform if uniform > 0 else np.int64(beats[beat])  # type: ignore[return-value]


@kernel
def schedule_words(
    beats: NDArray[np.uint16],
    n_beats: int,
    uniform: int,
    len_words: int,
    port_bits: int,
    schedule: Schedule,
    first: int,
) -> None:
    """Write SETS and NEEDS of each port word of a tile of `len_words` words of 64 bits to
    `schedule`, from row `first` on.

    beats, uniform  bits that each of the `n_beats` beats consumes, or one number for all
    """
    total = WORD_BITS * len_words
    words = (total + port_bits - 1) // port_bits
    for word in range(words):
        schedule[first + word, SETS] = 0
    before = 0
    for b in range(n_beats):
        word = (min(FIRE_BITS + before, total) + port_bits - 1) // port_bits - 1
        schedule[first + word, SETS] += np.int32(1)
        before += _beat_bits(beats, uniform, b)
    beat = 0
    after = _beat_bits(beats, uniform, 0)  # bits consumed once `beat` has fired
    setter = 0  # word that sets `beat` free
    left = np.int64(schedule[first, SETS])  # beats of its run from `beat` on
    for word in range(words):
        consumed = (word + 1) * port_bits - WINDOW_BITS
        schedule[first + word, NEEDS] = 0
        if consumed <= 0:
            continue  # the empty window has room for it
        while after < consumed and beat < n_beats - 1:
            beat += 1
            after += _beat_bits(beats, uniform, beat)
            left -= 1
        while left <= 0:
            setter += 1
            left += np.int64(schedule[first + setter, SETS])
        schedule[first + word, NEEDS] = np.int32((word - setter) + 16 * (left - 1))


@kernel
def _accept_ahead(core: Records, number: int, room: int) -> None:
    """Accept visible words of a tile whose command has not started: as many as the window holds."""
    unit, words = core["units"][number], core["words"]
    last = unit["last_accept"]
    while unit["visible"] > 0 and unit["word"] < min(unit["words"], room):
        last = max(last + 1, core["now"])
        place = unit["accepted"] & (WINDOW - 1)
        words[number, ACCEPT, place] = last
        words[number, RUN, place] = 0
        unit["accepted"] += 1
        unit["deferred"] += 1
        unit["visible"] -= 1
        unit["word"] += 1
    unit["last_accept"] = last


@kernel
def _time_deferred(core: Records, number: int, schedule: Schedule) -> None:
    """Time the beats set free by the words that were accepted before the command started."""
    unit, words = core["units"][number], core["words"]
    last_fire = unit["last_fire"]
    hold = unit["hold"] if unit["beats"] == 0 else 0
    for word in range(unit["word"] - unit["deferred"], unit["word"]):
        place = (unit["accepted"] - unit["word"] + word) & (WINDOW - 1)
        accept = words[number, ACCEPT, place]
        alone = 1 if accept > last_fire else 0
        beats = int(schedule[unit["schedule"] + word, SETS])
        if beats > 0:
            last_fire = max(last_fire, accept) + beats
        words[number, FIRE, place] = last_fire
        words[number, RUN, place] = 2 * beats + alone
        if hold > 0 and beats > 0:
            unit["header_fire"] = last_fire
            last_fire += hold
            hold = 0
        unit["beats"] += beats
        unit["extra"] += alone
    unit["deferred"] = 0
    unit["last_fire"] = last_fire


@kernel
def advance_decoder(core: Records, number: int, schedule: Schedule, room: int) -> bool:
    """Time all visible words of the tile in the window and the beats they set free, as far as
    they are determined; words that became visible before now were waiting.

    core, number  CORE record, unit
    schedule      as in Storage
    room          words that fit into an empty window
    Returns whether the running tile's last beat has been timed now: `last_fire`.
    """
    unit, words = core["units"][number], core["words"]
    if unit["ready"] == 0:
        _accept_ahead(core, number, room)
        return False
    if unit["deferred"] > 0:
        _time_deferred(core, number, schedule)
    last = unit["last_accept"]
    last_fire = unit["last_fire"]
    hold = unit["hold"] if unit["beats"] == 0 else 0
    first = unit["word"]
    count = min(unit["visible"], unit["words"] - first)
    base = unit["schedule"] + first
    accepted = unit["accepted"]
    sum_beats = 0
    sum_alone = 0
    for i in range(count):
        last = max(last + 1, core["now"])
        needed = int(schedule[base + i, NEEDS])
        if needed > 0:
            back = (accepted + i - (needed & 15)) & (WINDOW - 1)
            last = max(last, words[number, FIRE, back] - (needed >> 4) + 1)
        alone = 1 if last > last_fire else 0
        beats = int(schedule[base + i, SETS])
        if beats > 0:
            last_fire = max(last_fire, last) + beats
        place = (accepted + i) & (WINDOW - 1)
        words[number, ACCEPT, place] = last
        words[number, FIRE, place] = last_fire
        words[number, RUN, place] = 2 * beats + alone
        if hold > 0 and beats > 0:
            unit["header_fire"] = last_fire
            last_fire += hold
            hold = 0
        sum_beats += beats
        sum_alone += alone
    unit["accepted"] = accepted + count
    unit["visible"] -= count
    unit["word"] = first + count
    unit["last_accept"] = last
    unit["last_fire"] = last_fire
    unit["beats"] += sum_beats
    unit["extra"] += sum_alone
    return unit["word"] == unit["words"]  # type: ignore[no-any-return]


@kernel
def end_tile(unit: Records) -> None:
    """Empty the window for the next tile, after the last beat of the running one was timed."""
    unit["ready"] = 0
    unit["run_words"] = unit["words"]
    unit["tile"] += 1
    unit["word"] = 0
    unit["words"] = 0
    unit["last_accept"] = max(unit["last_accept"], unit["last_fire"])
    unit["fired"] += unit["beats"]


@kernel
def uncount_after(core: Records, number: int, end: int) -> None:
    """Take back words and beats of cycles >= `end`, up to which the step is counted.

    Afterwards `accepted` and `fired` are those before `end`, and `beats` and `extra` those of the
    running tile before `end`.
    """
    unit, words = core["units"][number], core["words"]
    of_running = unit["run_words"]
    behind = unit["word"]
    if of_running == 0:  # the tile is not complete
        unit["fired"] += unit["beats"]
        of_running = unit["word"]
        behind = 0
    total = unit["accepted"]
    late = 0
    for back in range(min(total, WINDOW)):
        place = (total - 1 - back) & (WINDOW - 1)
        accept = words[number, ACCEPT, place]
        fire = words[number, FIRE, place]
        beats = words[number, RUN, place] >> 1
        if accept < end and beats > 0 and fire < end:
            break
        running = behind <= back < behind + of_running
        if accept >= end:
            late += 1
            if running:
                unit["extra"] -= words[number, RUN, place] & 1
        if beats > 0 and fire >= end:
            undone = min(beats, fire - end + 1)
            unit["fired"] -= undone
            if running:
                unit["beats"] -= undone
    unit["accepted"] = total - late
