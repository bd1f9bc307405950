"""The syntax of passes, with the lines that the command line's reader is tested with too."""

import pathlib

import pytest

from sextant import UsageError
from sextant.passes import describe, parse_pass

CASES = pathlib.Path(__file__).resolve().parents[3] / "client/cli/testdata/pass_syntax.txt"


def cases():
    for line in CASES.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line.split("|")


@pytest.mark.parametrize("case", [c for c in cases() if c[1] != "!"], ids=lambda c: c[0])
def test_a_pass_is_read_as_on_the_command_line(case):
    text, backend, repeat, options = case
    spec = parse_pass(text)
    assert (spec.backend, spec.repeat) == (backend, int(repeat))
    assert dict(spec.options) == dict(pair.split("=", 1) for pair in options.split(";") if pair)
    if backend != "replay":
        assert parse_pass(describe(spec)) == spec


@pytest.mark.parametrize("case", [c for c in cases() if c[1] == "!"], ids=lambda c: c[0])
def test_a_wrong_pass_is_refused_at_its_place(case):
    text, _, column, message = case
    with pytest.raises(UsageError) as error:
        parse_pass(text)
    assert message in error.value.message
    assert error.value.message.splitlines()[-1] == " " * (2 + int(column)) + "^"
    assert error.value.field == "passes"
