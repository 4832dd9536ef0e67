"""The decoder's time, from burst to burst (section 6 of docs/timing_model.md).

No cycle is looped over. With A[w] the cycle in which word w is accepted and F[b] the one in which
beat b fires,

    F[b] = max(F[b-1] + 1, A[last word that beat b must see] + 1, start of the command)
    A[w] = max(A[w-1] + 1, cycle in which it is visible, F[beat that must have made room] + 1)

Per word it is enough to know how many beats it sets free (SETS) and which beat it needs (NEEDS:
the word that set that beat free, counted back, and the beats after it in that word's run).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.machine_types import ACCEPT, FIRE, NEEDS, RUN, SETS, Ints, Records
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
    schedule: NDArray[np.int32],
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
def _accept_ahead(unit: Records, words: Ints, now: int, room: int) -> None:
    """Accept visible words of a tile whose command has not started: as many as the window holds."""
    place_mask = words.shape[1] - 1
    last = unit["last_accept"]
    while unit["visible"] > 0 and unit["word"] < min(unit["words"], room):
        last = max(last + 1, now)
        place = unit["accepted"] & place_mask
        words[ACCEPT, place] = last
        words[RUN, place] = 0
        unit["accepted"] += 1
        unit["deferred"] += 1
        unit["visible"] -= 1
        unit["word"] += 1
    unit["last_accept"] = last


@kernel
def _time_deferred(unit: Records, words: Ints, schedule: NDArray[np.int32]) -> None:
    """Time the beats set free by the words that were accepted before the command started."""
    place_mask = words.shape[1] - 1
    last_fire = unit["last_fire"]
    for word in range(unit["word"] - unit["deferred"], unit["word"]):
        place = (unit["accepted"] - unit["word"] + word) & place_mask
        accept = words[ACCEPT, place]
        alone = 1 if accept > last_fire else 0
        beats = np.int64(schedule[unit["schedule"] + word, SETS])
        if beats > 0:
            last_fire = max(last_fire, accept) + beats
        words[FIRE, place] = last_fire
        words[RUN, place] = 2 * beats + alone
        unit["beats"] += beats
        unit["extra"] += alone
    unit["deferred"] = 0
    unit["last_fire"] = last_fire


@kernel
def _accept_running(unit: Records, words: Ints, schedule: NDArray[np.int32], now: int) -> None:
    """Accept all visible words of the running tile and time the beats they set free."""
    place_mask = words.shape[1] - 1
    last = unit["last_accept"]
    last_fire = unit["last_fire"]
    first = unit["word"]
    count = min(unit["visible"], unit["words"] - first)
    base = unit["schedule"] + first
    accepted = unit["accepted"]
    sum_beats = 0
    sum_alone = 0
    for i in range(count):
        last = max(last + 1, now)
        needed = np.int64(schedule[base + i, NEEDS])
        if needed > 0:
            fire = words[FIRE, (accepted + i - (needed & 15)) & place_mask] - (needed >> 4)
            last = max(last, fire + 1)
        alone = 1 if last > last_fire else 0
        beats = np.int64(schedule[base + i, SETS])
        if beats > 0:
            last_fire = max(last_fire, last) + beats
        place = (accepted + i) & place_mask
        words[ACCEPT, place] = last
        words[FIRE, place] = last_fire
        words[RUN, place] = 2 * beats + alone
        sum_beats += beats
        sum_alone += alone
    unit["accepted"] = accepted + count
    unit["visible"] -= count
    unit["word"] = first + count
    unit["last_accept"] = last
    unit["last_fire"] = last_fire
    unit["beats"] += sum_beats
    unit["extra"] += sum_alone


@kernel
def advance_decoder(
    unit: Records, words: Ints, schedule: NDArray[np.int32], now: int, room: int
) -> bool:
    """Time all words visible and all beats they set free as far as they are determined.

    unit      UNIT record
    words     (3, window) ring of the unit's last words, by their number since the step's start
    schedule  as in Storage
    now       the cycle looked at; words that became visible before were waiting
    room      words that fit into an empty window
    Returns whether the running tile's last beat has been timed now: `last_fire`.
    """
    if unit["ready"] == 0:
        _accept_ahead(unit, words, now, room)
        return False
    if unit["deferred"] > 0:
        _time_deferred(unit, words, schedule)
    _accept_running(unit, words, schedule, now)
    if unit["word"] < unit["words"]:
        return False
    unit["ready"] = 0
    unit["run_words"] = unit["words"]
    unit["tile"] += 1
    unit["word"] = 0
    unit["words"] = 0
    unit["last_accept"] = max(unit["last_accept"], unit["last_fire"])
    unit["fired"] += unit["beats"]
    return True


@kernel
def uncount_after(unit: Records, words: Ints, end: int) -> None:
    """Take back words and beats of cycles >= `end`, up to which the step is counted.

    Afterwards `accepted` and `fired` are those before `end`, and `beats` and `extra` those of the
    running tile before `end`.
    """
    window = words.shape[1]
    of_running = unit["run_words"]
    behind = unit["word"]
    if of_running == 0:  # the tile is not complete
        unit["fired"] += unit["beats"]
        of_running = unit["word"]
        behind = 0
    total = unit["accepted"]
    late = 0
    for back in range(min(total, window)):
        place = (total - 1 - back) & (window - 1)
        accept = words[ACCEPT, place]
        fire = words[FIRE, place]
        beats = words[RUN, place] >> 1
        if accept < end and beats > 0 and fire < end:
            break
        running = behind <= back < behind + of_running
        if accept >= end:
            late += 1
            if running:
                unit["extra"] -= words[RUN, place] & 1
        if beats > 0 and fire >= end:
            undone = min(beats, fire - end + 1)
            unit["fired"] -= undone
            if running:
                unit["beats"] -= undone
    unit["accepted"] = total - late
