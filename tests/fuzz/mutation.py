"""Changes to inputs without a look at coverage, for where atheris is not installed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence

_BYTES = (0, 1, 2, 7, 8, 16, 32, 64, 127, 128, 254, 255, *b'{}[]()",:.\\/<>+-eE019NT \n')
_NUMBERS = (
    *(b"0", b"-1", b"1", b"2", b"255", b"256", b"65536", b"2147483648", b"-2147483649", b"4294967296"),
    *(b"9223372036854775808", b"18446744073709551616", b"1" + b"0" * 400, b"1e308", b"1e309", b"-1e309", b"1e-320"),
    *(b"NaN", b"Infinity", b"null", b"true", b"[]", b"{}", b'""', b"1.5"),
)
_FOUND = re.compile(rb"-?\d+(\.\d+)?")

Operation = Callable[[bytearray, random.Random, Sequence[bytes]], None]


def _flip(data: bytearray, chance: random.Random, words: Sequence[bytes]) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _set(data: bytearray, chance: random.Random, words: Sequence[bytes]) -> None:
    data[chance.randrange(len(data))] = chance.choice(_BYTES)


def _cut(data: bytearray, chance: random.Random, words: Sequence[bytes]) -> None:
    start = chance.randrange(len(data))
    del data[start : start + _length(chance, len(data))]


def _copy(data: bytearray, chance: random.Random, words: Sequence[bytes]) -> None:
    start, to = chance.randrange(len(data)), chance.randrange(len(data))
    data[to:to] = data[start : start + _length(chance, len(data))]


def _random(data: bytearray, chance: random.Random, words: Sequence[bytes]) -> None:
    start = chance.randrange(len(data))
    part = chance.randbytes(_length(chance, 16))
    data[start : start + len(part)] = part


def _word(data: bytearray, chance: random.Random, words: Sequence[bytes]) -> None:
    start, word = chance.randrange(len(data)), chance.choice(words)
    data[start : start + chance.choice((0, len(word)))] = word


def _number(data: bytearray, chance: random.Random, words: Sequence[bytes]) -> None:
    if found := list(_FOUND.finditer(data)):
        place = chance.choice(found)
        data[place.start() : place.end()] = chance.choice(_NUMBERS)


def _splice(data: bytearray, chance: random.Random, words: Sequence[bytes]) -> None:
    start, other = chance.randrange(len(data)), chance.choice(words)
    data[start:] = other[chance.randrange(len(other)) if other else 0 :]


_OPERATIONS: tuple[Operation, ...] = (_flip, _set, _cut, _copy, _random, _word, _number, _splice)


def _length(chance: random.Random, most: int) -> int:
    return min(most, 1 << chance.randrange(12)) or 1


def mutated(corpus: Sequence[bytes], words: Sequence[bytes], most: int, seed: int) -> Iterator[bytes]:
    """Inputs without end, at most `most` bytes long: files of a corpus after one to eight changes.

    The same corpus, words and seed give the same inputs.
    """
    chance = random.Random(seed)
    while True:
        data = bytearray(chance.choice(corpus) or b"\0")
        for _ in range(chance.randint(1, 8)):
            operation = chance.choice(_OPERATIONS)
            operation(data, chance, corpus if operation is _splice else (*words, *_NUMBERS))
            data = data or bytearray(b"\0")
        yield bytes(data[:most])
