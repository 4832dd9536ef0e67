"""The commands the net is trained on: 128 words, templates, sentences, and how they are split."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

SLOTS: dict[str, tuple[str, ...]] = {
    "small": ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    "hour": (
        *("one", "two", "three", "four", "five", "six"),
        *("seven", "eight", "nine", "ten", "eleven", "twelve"),
    ),
    "many": (
        *("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
        *("twelve", "fifteen", "twenty", "thirty", "forty", "fifty"),
        *("twenty five", "thirty five", "forty five"),
    ),
    "units": ("seconds", "minutes", "hours"),
    "kind": ("pasta", "egg", "coffee", "laundry"),
    "room": ("kitchen", "bedroom", "bathroom", "garage", "hall"),
    "thing": ("lights", "lamp", "fan", "heater"),
    "state": ("on", "off"),
    "way": ("up", "down"),
    "color": ("red", "green", "blue", "white", "yellow"),
    "music": ("jazz", "rock", "piano", "classical"),
    "day": ("today", "tomorrow", "monday", "friday", "sunday"),
    "city": ("london", "paris", "boston", "berlin"),
    "item": ("milk", "bread", "butter", "apples", "cheese"),
    "name": ("anna", "peter", "david", "mother", "susan", "robert"),
    "part": ("morning", "evening"),
    "part of light": ("brighter", "darker"),
    "door": ("front", "back", "garage"),
    "number": ("next", "last"),
}
# A template's weight is how often it is drawn.
TEMPLATES: tuple[tuple[int, str], ...] = (
    (6, "set a timer for {many} {units}"),
    (2, "set a {kind} timer for {many} {units}"),
    (1, "set a timer for one {unit_of_one}"),
    (2, "cancel the {kind} timer"),
    (1, "how much time is left on the {kind} timer"),
    (2, "add {many} {units} to the timer"),
    (3, "set an alarm for {hour} {day}"),
    (3, "set an alarm for {hour} thirty in the {part}"),
    (2, "wake me at {hour} in the {part}"),
    (1, "stop the alarm"),
    (4, "turn {state} the {room} {thing}"),
    (3, "turn the {room} {thing} {state}"),
    (3, "turn {state} the {room} {thing} at {hour} {day}"),
    (3, "dim the {room} lights to {many} percent"),
    (3, "make the {room} lights {color}"),
    (1, "make the {room} lights {part of light}"),
    (3, "play some {music} music in the {room}"),
    (3, "play {music} for {many} {units} in the {room}"),
    (1, "play the {number} song"),
    (1, "{transport} the music in the {room}"),
    (3, "set the volume to {small}"),
    (2, "turn the volume {way} to {many} percent"),
    (1, "turn it {way}"),
    (3, "what is the weather in {city} {day}"),
    (2, "will it rain in {city} {day}"),
    (1, "what time is it in {city}"),
    (4, "add {item} and {item} to my shopping list"),
    (3, "remove {item} from my list"),
    (2, "call {name}"),
    (2, "call {name} at {hour} thirty {day}"),
    (3, "remind me to call {name} at {hour} {day}"),
    (3, "remind me to buy {item} and {item} {day}"),
    (3, "set the {room} to {many} degrees"),
    (2, "{open} the {door} door"),
    (1, "is the {door} door open"),
    (1, "tell me the news from {city}"),
)
MORE_SLOTS: dict[str, tuple[str, ...]] = {
    "unit_of_one": ("minute", "hour"),
    "transport": ("pause", "stop", "start"),
    "open": ("open", "close", "lock"),
}
ALL_SLOTS = SLOTS | MORE_SLOTS

SPLITS = 20  # of each 20 sentences (by checksum) one is for tests, one for development


def _words() -> tuple[str, ...]:
    texts = [template for _, template in TEMPLATES]
    texts += [word for words in ALL_SLOTS.values() for word in words]
    for slot in ALL_SLOTS:
        texts = [text.replace(f"{{{slot}}}", " ") for text in texts]
    return tuple(sorted({word for text in texts for word in text.split()}))


WORDS = _words()
"""All words in alphabetical order; word k is symbol k + 1, symbol 0 is the blank."""
BLANK = 0
SYMBOLS = len(WORDS) + 1
_SYMBOL_OF = {word: number for number, word in enumerate(WORDS, start=1)}


def symbols_of(sentence: str) -> list[int]:
    """Return the numbers of a sentence's words. Raises KeyError for a word outside `WORDS`."""
    return [_SYMBOL_OF[word] for word in sentence.split()]


def text_of(symbols: list[int]) -> str:
    """Return the words of these symbols."""
    return " ".join(WORDS[symbol - 1] for symbol in symbols)


def split_of(sentence: str) -> str:
    """Return "train", "dev" or "test": a sentence is in one of them only."""
    part = zlib.crc32(sentence.encode()) % SPLITS
    return {0: "test", 1: "dev"}.get(part, "train")


def draw_sentence(rng: np.random.Generator) -> str:
    """Return one sentence, templates by weight, words evenly."""
    weights = np.array([weight for weight, _ in TEMPLATES], dtype=np.float64)
    _, text = TEMPLATES[rng.choice(len(TEMPLATES), p=weights / weights.sum())]
    while "{" in text:
        slot = text[text.index("{") + 1 : text.index("}")]
        words = ALL_SLOTS[slot]
        text = text.replace(f"{{{slot}}}", words[rng.integers(len(words))], 1)
    return text


def sentences(split: str, rng: np.random.Generator) -> Iterator[str]:
    """Yield sentences of that split without end; the same sentence may come again."""
    while True:
        sentence = draw_sentence(rng)
        if split_of(sentence) == split:
            yield sentence
