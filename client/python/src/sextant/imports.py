"""Which modules beside a Python script it imports, and those theirs: found by reading, nothing is run."""

from __future__ import annotations

import ast
import pathlib
from typing import Iterable, Iterator, Union


def imported_names(source: str, package: str = "") -> Iterator[str]:
    """Dotted names that a source may import, relative ones resolved against `package`. What cannot be
    parsed imports nothing: the program will say so itself."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[:len(package.split(".")) - node.level + 1] if package else []
                base = ".".join([*above, base] if base else above)
            if base:
                yield base
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)


def _files_of(name: str, root: pathlib.Path) -> Iterator[pathlib.Path]:
    """The files that importing a dotted name reads below root: each package's __init__.py, the module."""
    folder = root
    for part in name.split("."):
        if not part.isidentifier():
            return
        module, package = folder / f"{part}.py", folder / part
        if package.is_dir() and ((package / "__init__.py").is_file() or any(package.glob("*.py"))):
            if (package / "__init__.py").is_file():
                yield package / "__init__.py"
            folder = package
        elif module.is_file():
            yield module
            return
        else:
            return


def local_modules(start: Union[pathlib.Path, Iterable[str]], root: pathlib.Path) -> list[pathlib.Path]:
    """Files below `root` that a script (or modules by name) imports, in order of their paths, without the
    script itself."""
    found: set[pathlib.Path] = set()
    waiting: list[pathlib.Path] = []

    def take(names: Iterable[str]) -> None:
        for name in names:
            for file in _files_of(name, root):
                if file not in found:
                    found.add(file)
                    waiting.append(file)

    if isinstance(start, pathlib.Path):
        take(imported_names(_text(start)))
    else:
        names = list(start)
        take(names)
        take(f"{name}.__main__" for name in names)
    while waiting:
        file = waiting.pop()
        inside = file.relative_to(root).with_suffix("").parts
        take(imported_names(_text(file), ".".join(inside[:-1])))
    if isinstance(start, pathlib.Path):
        found.discard(start)
    return sorted(found)


def _text(file: pathlib.Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
