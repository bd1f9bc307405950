"""The statistical timeline: every region instance at its quantiles over passes."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any, Sequence, Union

from sextant import frames, html
from sextant.answers import Answer
from sextant.v1 import sextant_pb2

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes


class Timeline(Answer[sextant_pb2.Timeline]):
    """P20/P50/P80 of the start, end and duration of every region instance, by role.

    Times are nanoseconds since the start of a CTA (kernels), or since the pass began (`message.origin`)."""

    title, table = "Statistical timeline", "lanes.instances"

    def _quantiles(self) -> Sequence[float]:
        return list(self.message.quantiles)

    @property
    def roles(self) -> list[str]:
        return [lane.role for lane in self.message.lanes]

    def to_pandas(self, table: str = "") -> "pandas.DataFrame":
        """A row for each instance: role, region, ordinal, start_p20_ns … duration_p80_ns, count, spread; or
        another of `tables()`: "regions" has a row for each region, "loops", "overlaps"."""
        if table and table != self.table:
            return super().to_pandas(table)
        import pandas

        quantiles = self._quantiles()
        rows = [{"role": lane.role, **frames.row(instance, quantiles)}
                for lane in self.message.lanes for instance in lane.instances]
        return pandas.DataFrame(rows)

    def regions(self) -> "pandas.DataFrame":
        """A row for each role and region: count, quantiles of the duration over all instances, sum, least, most."""
        return frames.frame(self.message.regions, sextant_pb2.RegionAggregate.DESCRIPTOR, self._quantiles())

    def plot(self, ax: "Axes | None" = None, *, roles: Sequence[str] = (), regions: Sequence[str] = (),
             from_ns: float = 0, to_ns: float = 0) -> "Axes":
        """Lanes by role: bars from the middle quantile's start to its end, whiskers over the outer quantiles
        of both edges. `roles`, `regions`, `from_ns`, `to_ns`: a part of it."""
        from sextant.picture import draw_timeline

        return draw_timeline(self.message, ax, roles=roles, regions=regions, from_ns=from_ns, to_ns=to_ns)

    def save(self, path: Union[str, "pathlib.PurePath"], dpi: float = 120) -> pathlib.Path:
        """Writes the picture; the ending chooses the format (.png, .svg, .pdf)."""
        axes = self.plot()
        target = pathlib.Path(path)
        figure: Any = axes.figure
        figure.savefig(target, dpi=dpi, bbox_inches="tight")
        return target

    def summary(self) -> str:
        m = self.message
        return f"{m.program} · job {m.job_id} {m.task} · {m.passes} passes · {m.events:,} instances"

    def _repr_html_(self) -> str:
        shown = self.regions()
        keep = [c for c in shown.columns if c in ("role", "region", "count") or c.startswith("duration_")]
        return html.heading(self.title, self.summary()) + html.frame(shown[keep]) + html.notes(self.notes)
