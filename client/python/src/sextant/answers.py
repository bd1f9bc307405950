"""Answers of the service: the raw message, tables, notes, and what could not be judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Sequence, TypeVar

from google.protobuf.message import Message

from sextant import frames, html
from sextant.v1 import analysis_pb2, sextant_pb2

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

M = TypeVar("M", bound=Message)


class Answer(Generic[M]):
    """What an analysis says.

    Attributes:
      message: the message as the service sent it; its fields can be read from the answer too.
    NaN in a number: not known; `notes` and `abstentions` say why, and which pass would settle it."""

    title = ""
    table = ""        # the main table's name among `tables()`

    def __init__(self, message: M) -> None:
        self.message = message

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "message":
            raise AttributeError(name)
        try:
            return getattr(self.message, name)
        except AttributeError:
            raise AttributeError(f"{type(self).__name__} has no {name!r}; its message has "
                                 + ", ".join(f.name for f in self.message.DESCRIPTOR.fields)) from None

    def _basis(self) -> Any:
        return self.message.basis if "basis" in self.message.DESCRIPTOR.fields_by_name else None  # type: ignore[attr-defined]

    def _quantiles(self) -> Sequence[float]:
        basis = self._basis()
        return list(basis.quantiles) if basis is not None and basis.quantiles else (0.2, 0.5, 0.8)

    @property
    def notes(self) -> list[str]:
        """What was left out, and why."""
        basis = self._basis()
        return list(basis.notes) if basis is not None else list(getattr(self.message, "notes", []))

    @property
    def abstentions(self) -> list[analysis_pb2.Abstention]:
        """What could not be judged, why, and the pass that would settle it."""
        own = list(getattr(self.message, "abstentions", []))
        basis = self._basis()
        return own + [a for a in (basis.abstentions if basis is not None else []) if a not in own]

    def tables(self) -> dict[str, "pandas.DataFrame"]:
        """All tables of the answer by name: "regions", "paths.steps" …"""
        return {name: table for name, table in frames.tables(self.message, self._quantiles()) if name != "basis"}

    def to_pandas(self, table: str = "") -> "pandas.DataFrame":
        """The main table, or another of `tables()`."""
        found = self.tables()
        name = table or self.table
        if name not in found:
            from sextant.errors import UsageError

            raise UsageError(f"table: there is no {name!r}", field="table", remedy="there are " + ", ".join(found))
        return found[name]

    def summary(self) -> str:
        """One line."""
        basis = self._basis()
        kernel = f"{basis.kernel} · " if basis is not None and basis.kernel else ""
        return f"{kernel}{len(getattr(self.message, self.table))} {self.table}" if self.table else kernel

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.summary()}>"

    def _repr_html_(self) -> str:
        unsettled = [f"{a.question}: {a.why}" + (f" (--pass {getattr(a, 'pass')})" if getattr(a, "pass") else "")
                     for a in self.abstentions]
        table = html.frame(self.to_pandas()) if self.table else ""
        return (html.heading(self.title or type(self).__name__, self.summary()) + table + html.notes(self.notes)
                + html.notes(unsettled, "could not be judged"))


class RegionCosts(Answer[analysis_pb2.RegionCosts]):
    """Instructions, cycles, stalls and IPC of every region of a kernel."""

    title, table = "Costs of regions", "regions"


class Hotspots(Answer[analysis_pb2.Hotspots]):
    """Where samples fell: source lines, instructions, functions, regions or kernels, the largest share first."""

    title, table = "Hotspots", "hotspots"

    def plot(self, ax: "Axes | None" = None, top: int = 20) -> "Axes":
        """Bars of the largest shares, split by stall reason."""
        from sextant.picture import draw_hotspots

        return draw_hotspots(self.message, ax, top)


class Registers(Answer[analysis_pb2.Registers]):
    """Register pressure, spills, and what limits occupancy."""

    title, table = "Registers", "profile"


class CriticalPath(Answer[analysis_pb2.CriticalPath]):
    """The longest chain of regions and barriers through a run, slack, and what-if."""

    title, table = "Critical path", "paths.shares"

    def summary(self) -> str:
        return f"{self.message.basis.kernel} · {self.message.ctas} CTAs judged"


class Variation(Answer[analysis_pb2.Variation]):
    """Which regions spread, where the spread comes from, and what goes with it."""

    title, table = "Variation", "regions"


class Occupancy(Answer[analysis_pb2.OccupancyOverTime]):
    """Resident CTAs and busy SMs over a launch, waves, the tail."""

    title, table = "Occupancy over time", "waves"

    def to_pandas(self, table: str = "") -> "pandas.DataFrame":
        """A row for each bucket of time, or a table of `tables()`."""
        if table:
            return super().to_pandas(table)
        import pandas

        m = self.message
        return pandas.DataFrame({"start_ns": [i * m.bucket_ns for i in range(len(m.resident_ctas))],
                                 "resident_ctas": list(m.resident_ctas), "active_sms": list(m.active_sms)})

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Resident CTAs and busy SMs over the launch."""
        from sextant.picture import draw_occupancy

        return draw_occupancy(self.message, ax)


class Roofline(Answer[analysis_pb2.Roofline]):
    """Achieved against attainable work, at each level of memory."""

    title, table = "Roofline", "points"

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Ceilings and points, both axes logarithmic."""
        from sextant.picture import draw_roofline

        return draw_roofline(self.message, ax)


class Diagnosis(Answer[analysis_pb2.Diagnosis]):
    """What bounds the kernels, what to try, and what could not be judged."""

    title, table = "Diagnosis", "findings"

    @property
    def verdict(self) -> str:
        """One sentence: what bounds it."""
        return self.message.verdict

    def summary(self) -> str:
        return self.message.verdict

    def __str__(self) -> str:
        lines = [self.message.verdict]
        for finding in self.message.findings:
            lines.append(f"* {finding.claim} ({finding.confidence})")
            lines += [f"    try: {change}" for change in finding.try_this]
        return "\n".join(lines)


class Report(Answer[sextant_pb2.Report]):
    """All of it for reading."""

    title, table = "Report", "findings"

    @property
    def tldr(self) -> str:
        """The short version, at most 8,000 bytes; the summary where the service makes none."""
        return self.message.tldr or self.message.summary

    @property
    def markdown(self) -> str:
        return self.message.markdown

    def tables(self) -> dict[str, "pandas.DataFrame"]:
        """The report's tables by name, and its findings, sections and abstentions."""
        found = dict(frames.tables(self.message, ()))
        for table in [*self.message.tables, *(t for s in self.message.sections for t in s.tables)]:
            found[table.name] = frames.cells_frame(table.columns, table.rows)
        return found

    def summary(self) -> str:
        return self.message.summary or self.message.title

    def __str__(self) -> str:
        return self.message.markdown

    def _repr_markdown_(self) -> str:
        """Only what Sextant wrote is Markdown; names inside have been escaped by the service."""
        return self.message.markdown

    def _repr_html_(self) -> str:
        """Findings, and of each section what it says and its pictures; `tables()` has the numbers."""
        parts = [html.heading(self.message.title, self.message.summary)]
        if self.message.findings:
            parts.append(html.frame(self.to_pandas()[["claim", "kernel", "region", "saves_share", "confidence"]]))
        for section in self.message.sections:
            parts.append(html.heading(section.title, section.summary))
            parts += [html.picture(p.svg, p.caption or p.name) for p in section.pictures]
        return "".join(parts)


class Comparison(Answer[sextant_pb2.Comparison]):
    """Whether B is faster or slower than A, row by row."""

    title, table = "Comparison", "deltas"

    @property
    def verdict(self) -> str:
        """"faster", "slower", "no difference" or "inconclusive"."""
        return self.message.verdict

    def summary(self) -> str:
        return f"job {self.message.job_b} against job {self.message.job_a}: {self.message.verdict}. {self.message.why}"

    def plot(self, ax: "Axes | None" = None, top: int = 20) -> "Axes":
        """Relative changes with their 95 % intervals, and the gate."""
        from sextant.picture import draw_comparison

        return draw_comparison(self.message, ax, top)
