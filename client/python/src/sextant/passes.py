"""`NAME[:key=value,…][*N]`: how a pass is written, here as on the command line.

    host*20                           20 passes of the backend "host"
    host:counters=cycles+instructions*5
    counters:ipc,stalls               a word alone belongs to the backend's main option: set=ipc+stalls
    exec:mytool:depth=3               the third party backend "exec:mytool" with an option
    replay:DIRECTORY                  every recording in it, one pass each; also replay:FILE

Values end at a comma; lists inside a value are written with '+'. client/cli/testdata/pass_syntax.txt is
what both readers of this syntax are tested with."""

from __future__ import annotations

import string
from typing import Iterable, NoReturn, Union

from sextant.errors import UsageError
from sextant.v1.types_pb2 import PassSpec

_NAME = frozenset(string.ascii_letters + string.digits + "_-.")

#: The option that words without '=' belong to, by backend.
MAIN_OPTION = {"auto": "question", "counters": "set", "ncu": "set", "sanitizer": "tool"}
REPLAY = "replay"
RECORDING = "recording"

#: A pass as text, as a message, or as (backend, options).
PassLike = Union[str, PassSpec]


def _wrong(text: str, at: int, what: str) -> NoReturn:
    shown = [c if c.isprintable() else "?" for c in text]
    raise UsageError(f"passes: {what}\n  {''.join(shown)}\n  {' ' * at}^", field="passes",
                     remedy="write it as NAME[:key=value,…][*N], like host*20")


def _skip_name(text: str, at: int) -> int:
    while at < len(text) and text[at] in _NAME:
        at += 1
    return at


def parse_pass(text: str) -> PassSpec:
    """The pass that a text stands for; UsageError points at the place that is wrong."""
    at = _skip_name(text, 0)
    if at == 0:
        _wrong(text, 0, "expected the name of a backend, like host*20")
    if text[:at] == "exec":
        if at == len(text) or text[at] != ":":
            _wrong(text, at, 'expected ":NAME" after exec, like exec:mytool')
        start = at + 1
        at = _skip_name(text, start)
        if at == start:
            _wrong(text, at, "expected the name of the tool, like exec:mytool")
    spec = PassSpec(backend=text[:at])

    # The repetition is the last '*'; a value may hold others.
    end = len(text)
    star = text.rfind("*")
    if star >= at:
        digits = text[star + 1:]
        bad = next((i for i, c in enumerate(digits) if c not in string.digits), None)
        if not digits:
            _wrong(text, len(text), "expected a number after '*'")
        if bad is not None:
            _wrong(text, star + 1 + bad, "expected digits only after '*'; it comes last")
        if not 0 < int(digits) < 2**32:
            _wrong(text, star + 1, "the number of passes must be between 1 and 4294967295")
        spec.repeat = int(digits)
        end = star

    # Recordings are named by their path, which may hold any character.
    if spec.backend == REPLAY:
        if at + 1 >= end or text[at] != ":":
            _wrong(text, at, 'expected ":" and a recording or a directory of them, like replay:DIR')
        spec.options[RECORDING] = text[at + 1:end]
        return spec

    if at < end and text[at] != ":":
        _wrong(text, at, "expected ':' (options), '*' (repetitions) or the end here")
    main = MAIN_OPTION.get(spec.backend, "")
    while at < end:
        at += 1  # the ':' or ','
        value_end = text.find(",", at, end)
        if value_end < 0:
            value_end = end
        key_end = _skip_name(text[:end], at)
        if main and value_end > at and "=" not in text[at:value_end]:
            said = spec.options[main] if main in spec.options else ""
            spec.options[main] = f"{said}+{text[at:value_end]}" if said else text[at:value_end]
            at = value_end
            continue
        if key_end == at:
            _wrong(text, at, "expected an option, key=value")
        if key_end == end or text[key_end] != "=":
            _wrong(text, key_end, "expected '=' and a value after the option's name")
        key = text[at:key_end]
        if key in spec.options:
            _wrong(text, at, f'option "{key}" is given twice')
        spec.options[key] = text[key_end + 1:value_end]
        at = value_end
    return spec


def parse_passes(passes: Union[PassLike, Iterable[PassLike]]) -> list[PassSpec]:
    """Passes as text or messages; one, or several."""
    if isinstance(passes, (str, PassSpec)):
        passes = [passes]
    return [parse_pass(p) if isinstance(p, str) else p for p in passes]


def describe(spec: PassSpec) -> str:
    """As it is written: "counters:set=ipc*5"."""
    options = ",".join(f"{key}={value}" for key, value in sorted(spec.options.items()))
    return spec.backend + (f":{options}" if options else "") + (f"*{spec.repeat}" if spec.repeat > 1 else "")
