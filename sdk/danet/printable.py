"""Text from files, made fit for a terminal and a log."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""The text with every character that is no printable one spelled out (`\x1b`); line breaks stay.

    Names and licences come from files of others: an escape sequence in one could move the cursor, retitle
    the terminal or forge a line of a log, and a stray surrogate cannot be written to a stream at all.
    """
    lines = text.split("\n")
    return "\n".join(line if line.isprintable() else "".join(map(_spelled_out, line)) for line in lines)


def one_line(text: str) -> str:
    """`printable`, with every run of blanks and line breaks as one blank."""
    return printable(" ".join(text.split()))


def _spelled_out(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]
