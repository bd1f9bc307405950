"""Takes a kernel out of the file or notebook it is written in: the statements it needs, and nothing that
would run when a worker imports them."""

from __future__ import annotations

import ast
import inspect
import pathlib
from dataclasses import dataclass
from typing import Any, Iterator, Optional

from sextant.errors import UsageError

_KEEP_CALLS_OF = "triton"   # `pl.enable_semantic("triton")` at top level prepares the compiler


def plain_function(kernel: Any) -> Any:
    """The Python function inside `triton.jit`, `autotune` and the like, which hold it as `.fn`."""
    while not inspect.isfunction(kernel) and hasattr(kernel, "fn"):
        kernel = kernel.fn
    if not inspect.isfunction(kernel):
        raise UsageError(f"kernel: {type(kernel).__name__} holds no function", field="kernel",
                         remedy="decorate the function: @sextant.kernel above @triton.jit")
    return kernel


@dataclass
class KernelSource:
    """A module with one kernel in it.

    Attributes:
      text: its statements, each on the line where it was written.
      module: its name; the file is `module`.py.
      folder: where modules beside it lie; None in a notebook.
    """

    text: str
    module: str
    folder: Optional[pathlib.Path]


def _bound(statement: ast.stmt) -> Iterator[str]:
    """Names a top-level statement binds, also inside `if`, `try` and `with`."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0]
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _root(node: ast.expr) -> str:
    """"a" of a, a.b, a.b(c)."""
    while isinstance(node, (ast.Attribute, ast.Call, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _imports_of(statement: ast.stmt, package: str) -> Iterator[str]:
    """Names that an import statement binds to a package or to something in it."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            if alias.name.split(".")[0] == package:
                yield alias.asname or alias.name.split(".")[0]
    elif isinstance(statement, ast.ImportFrom) and (statement.module or "").split(".")[0] == package:
        for alias in statement.names:
            yield alias.asname or alias.name


class _Module:
    """The statements of a source, and which of them a kernel needs."""

    def __init__(self, source: str) -> None:
        self.lines = source.splitlines()
        self.statements = ast.parse(source).body
        self.sextant = {n for s in self.statements for n in _imports_of(s, "sextant")}
        self.binding: dict[str, list[ast.stmt]] = {}
        for statement in self.statements:
            for name in _bound(statement):
                self.binding.setdefault(name, []).append(statement)

    def ours(self, decorator: ast.expr) -> bool:
        return _root(decorator) in self.sextant

    def used(self, statement: ast.stmt) -> set[str]:
        """Names a statement reads, but for decorators of this package."""
        ignored: set[ast.AST] = set()
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            ignored = {n for d in statement.decorator_list if self.ours(d) for n in ast.walk(d)}
        return {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
                and n not in ignored}

    def needed(self, name: str) -> list[ast.stmt]:
        chosen: list[ast.stmt] = []
        waiting = [name]
        seen = {name}
        while waiting:
            for statement in self.binding.get(waiting.pop(), ()):
                if statement in chosen:
                    continue
                chosen.append(statement)
                for used in self.used(statement) - seen:
                    seen.add(used)
                    waiting.append(used)
        bad = seen & self.sextant
        if bad:
            raise UsageError(f"kernel: {name} uses {', '.join(sorted(bad))} of this package, which workers do not have",
                             field="kernel", remedy="keep what the kernel calls apart from what profiles it")
        prepared = {n for s in chosen for n in _imports_of(s, _KEEP_CALLS_OF)}
        prepared |= {n for s in self.statements for n in _imports_of(s, _KEEP_CALLS_OF) if n in seen}
        for statement in self.statements:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) \
                    and _root(statement.value) in prepared and self.used(statement) <= prepared:
                chosen.append(statement)
        return chosen

    def text(self, chosen: list[ast.stmt]) -> str:
        """The chosen statements on their lines; all other lines are empty."""
        kept = [""] * len(self.lines)

        def lines_of(node: Any, first: int) -> range:
            return range(first - 1, node.end_lineno)

        for statement in chosen:
            decorators = getattr(statement, "decorator_list", [])
            for at in lines_of(statement, min([statement.lineno, *(d.lineno for d in decorators)])):
                kept[at] = self.lines[at]
            for decorator in decorators:
                if self.ours(decorator):
                    for at in lines_of(decorator, decorator.lineno):
                        kept[at] = ""
        return "\n".join(kept).rstrip() + "\n"


def _cells(cells: list[str]) -> str:
    """Cells of a notebook that are Python, one after the other."""
    good = []
    for cell in cells:
        try:
            ast.parse(cell)
            good.append(cell)
        except SyntaxError:
            continue  # magics and shell commands
    return "\n".join(good)


def kernel_source(kernel: Any) -> KernelSource:
    """The module that holds a kernel and what it needs. UsageError: it is not at the top level of a file or
    a notebook, or its source is not to be had."""
    function = plain_function(kernel)
    name = function.__name__
    if function.__qualname__ != name:
        raise UsageError(f"kernel: {function.__qualname__} is defined inside a function or class", field="kernel",
                         remedy="move it to the top level of its file, so that a worker can import it")
    cells = function.__globals__.get("In")
    file = pathlib.Path(function.__code__.co_filename)
    folder: Optional[pathlib.Path] = None
    if isinstance(cells, list) and not file.is_file():
        source, module = _cells(cells), "notebook"
    elif not file.is_file():
        raise UsageError(f"kernel: the source of {name} is not to be had from {file}", field="kernel",
                         remedy="write it into a file")
    else:
        # Inside a package its relative imports need the package, which travels whole.
        source, module, folder = file.read_text(encoding="utf-8"), file.stem, file.parent
    parsed = _Module(source)
    if name not in parsed.binding:
        raise UsageError(f"kernel: {name} is not at the top level of {file}", field="kernel",
                         remedy="define it there, under its own name")
    if not module.isidentifier():
        module = "kernel"
    return KernelSource(parsed.text(parsed.needed(name)), module, folder)
