"""How far a wait is, as a tqdm bar: drawn in place in a terminal and in notebooks, silent in a pipe, but for why something waits."""

from __future__ import annotations

import sys
import warnings
from typing import Any, Optional


def in_notebook() -> bool:
    """Whether this runs in the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    if ipython is None:
        return False
    shell = ipython.get_ipython()
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


class Bar:
    """One bar. `total` may grow while it is drawn. Used by the waiting thread alone."""

    def __init__(self, what: str, unit: str, enabled: bool) -> None:
        self._what, self._unit, self._enabled = what, unit, enabled
        self._bar: Optional[Any] = None
        self._said: set[str] = set()

    def _make(self, total: int) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # without ipywidgets tqdm draws text, and says so
            from tqdm.auto import tqdm

            return tqdm(total=total, desc=self._what, unit=f" {self._unit}", leave=False, dynamic_ncols=True,
                        disable=False if in_notebook() else None,
                        bar_format="{desc}: {bar} {n_fmt}/{total_fmt}{unit} {postfix}{elapsed}<{remaining}")

    def show(self, done: int, total: int, note: str = "") -> None:
        if not self._enabled or total == 0:
            return
        if self._bar is None:
            self._bar = self._make(total)
        bar = self._bar
        bar.total = max(total, done)
        bar.n = done
        bar.set_postfix_str(f"{note} " if note else "", refresh=False)
        bar.refresh()

    def say(self, line: str) -> None:
        """A line that stays, above the bar; in a pipe too. Each once."""
        if self._enabled and line not in self._said:
            self._said.add(line)
            self.close()
            print(f"sextant: {line}", file=sys.stderr)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
