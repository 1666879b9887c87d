"""What argparse complains about, in the words of the manual: the offending text, and what is accepted."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# Positional words by their names in the usage line.
PLACES = {"COMMAND": "command", "ACTION": "action", "FORMAT": "format"}
NUMBERS = {"int": "a whole number", "float": "a number"}


def plainly(message: str, options: Iterable[str] = ()) -> str:
    """An error of argparse as a sentence; ``options`` are those that could have been meant."""
    for pattern, sentence in RULES:
        found = re.fullmatch(pattern, message, re.DOTALL)
        if found:
            return sentence(found, options)
    return message


def _choice(found: re.Match[str], _: Iterable[str]) -> str:
    # Python 3.14 leaves out the quotes.
    choices = [word.strip("'") for word in found[3].split(", ")]
    place = PLACES.get(found[1])
    if place is None:
        return f"{found[1]} must be one of {', '.join(choices)}, not {found[2]}"
    meant = _meant(found[2].strip("'"), choices) or f"; {place}s: {', '.join(choices)}"
    return f"there is no {place} {found[2]}{meant}"


def _number(found: re.Match[str], _: Iterable[str]) -> str:
    return f"{found[1]} must be {NUMBERS.get(found[2], found[2])}, not {found[3]}"


def _missing(found: re.Match[str], _: Iterable[str]) -> str:
    return f"{found[1]} {'are' if ',' in found[1] else 'is'} missing"


def _one_missing(found: re.Match[str], _: Iterable[str]) -> str:
    return f"one of {', '.join(found[1].split())} is missing"


def _excluded(found: re.Match[str], _: Iterable[str]) -> str:
    return f"{found[2]} and {found[1]} cannot be combined"


def _unknown(found: re.Match[str], options: Iterable[str]) -> str:
    words = found[1].split()
    unknown = [word for word in words if word.startswith("-")]
    if not unknown:
        return f"unexpected argument: {found[1]}"
    if len(unknown) > 1:
        return f"unknown options: {', '.join(unknown)}"
    return f"unknown option: {unknown[0]}{_meant(unknown[0].partition('=')[0], options)}"


def _no_value(found: re.Match[str], _: Iterable[str]) -> str:
    return f"{found[1]} needs a value"


def _ambiguous(found: re.Match[str], _: Iterable[str]) -> str:
    return f"{found[1]} is ambiguous: {found[2]}"


def _meant(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


RULES = (
    (r"argument ([^:]+): invalid choice: (.*) \(choose from (.*)\)", _choice),
    (r"argument ([^:]+): invalid (\w+) value: (.*)", _number),
    (r"argument ([^:]+): expected (?:one|at least one) argument", _no_value),
    (r"argument ([^:]+): not allowed with argument (.*)", _excluded),
    (r"the following arguments are required: (.*)", _missing),
    (r"one of the arguments (.*) is required", _one_missing),
    (r"unrecognized arguments: (.*)", _unknown),
    (r"ambiguous option: (.*) could match (.*)", _ambiguous),
)
