"""Text from files, made fit for a terminal and a log."""

from __future__ import annotations

_REASON = 300


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


def reason(error: BaseException) -> str:
    """What an error of a library says, as one line of 300 characters at most."""
    return one_line(str(error))[:_REASON]


def last_line(error: BaseException) -> str:
    """What an error of OpenVINO says, whose messages begin with source positions; its type where it says nothing."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return one_line(lines[-1])[:_REASON] if lines else type(error).__name__


def _spelled_out(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]
