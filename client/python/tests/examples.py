"""The examples of docs/python.md: the page says what runs, the tests run it. As a program it prints them."""

import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs/python.md"
_BLOCK = re.compile(r"^```python([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> list[tuple[str, str]]:
    """What each needs ("", "gpu"), and its source."""
    return [(needs.strip(), source) for needs, source in _BLOCK.findall(PAGE.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    print("\n".join(source for needs, source in examples() if "triton" not in source or "replay" in source))
