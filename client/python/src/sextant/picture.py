"""Pictures of answers, drawn with matplotlib."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Iterable, Optional, Sequence

from sextant.errors import UsageError
from sextant.v1 import analysis_pb2, sextant_pb2

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK = "#30343b"
_GRID = "#d9dce1"
#: Colours that are told apart also with colour-blind eyes, and on paper.
_COLORS = ("#4477aa", "#ee7733", "#228833", "#cc3377", "#66ccee", "#aa8800", "#882255", "#44aa99", "#332288", "#999933",
           "#cc6677", "#777777", "#117733", "#aa4499")
_TIME_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
_LONGEST_LABEL = 40
_MOST_REASONS = 8


def _axes(ax: "Optional[Axes]", width: float, height: float) -> "Axes":
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    _, made = plt.subplots(figsize=(width, height), layout="constrained")
    return made


def _quiet(ax: "Axes", axis: str = "x") -> None:
    """Only what helps reading: a light grid, no box."""
    for side in ("top", "right", "left" if axis == "x" else "top"):
        ax.spines[side].set_visible(False)
    ax.grid(axis=axis, color=_GRID, linewidth=0.6)  # type: ignore[arg-type]
    ax.set_axisbelow(True)
    ax.tick_params(length=0 if axis == "x" else 3, colors=_INK)


def time_scale(longest_ns: float) -> tuple[float, str]:
    """The unit in which a time is a readable number: (nanoseconds in one, its name)."""
    return next(((ns, name) for ns, name in _TIME_UNITS if longest_ns >= 2 * ns), _TIME_UNITS[-1])


def shown(name: str) -> str:
    """A name from a workload as plain text: cut, and no mathematics in it."""
    cut = name if len(name) <= _LONGEST_LABEL else name[:_LONGEST_LABEL - 1] + "…"
    return "".join(c if c.isprintable() else "?" for c in cut).replace("$", r"\$")


def _parts(quantiles: Sequence[float]) -> tuple[int, int, int]:
    """Indices of the least, the middle and the largest quantile."""
    middle = min(range(len(quantiles)), key=lambda i: abs(quantiles[i] - 0.5))
    return 0, middle, len(quantiles) - 1


def draw_timeline(timeline: sextant_pb2.Timeline, ax: "Optional[Axes]" = None, *, roles: Sequence[str] = (),
                  regions: Sequence[str] = (), from_ns: float = 0, to_ns: float = 0) -> "Axes":
    """Lanes by role, a row for each of its regions in order of their first start: bars from the middle
    quantile's start to its end; whiskers over the outer quantiles of the start (upper) and the end (lower).
    Where whiskers would cover each other, pale bars over both stand for them."""
    from matplotlib.collections import LineCollection, PolyCollection

    lanes = [lane for lane in timeline.lanes if (not roles or lane.role in roles)]
    rows: list[tuple[str, str, list[Any]]] = []
    for lane in lanes:
        by_region: dict[str, list[Any]] = {}
        for instance in lane.instances:
            if (not regions or instance.region in regions) and (not to_ns or instance.start_ns[0] < to_ns) \
                    and instance.end_ns[-1] >= from_ns:
                by_region.setdefault(instance.region, []).append(instance)
        label = f"{lane.role or 'all'} ×{lane.tracks}" if lane.tracks > 1 else lane.role or "all"
        rows += [(label, region, found) for region, found in by_region.items()]
    if not rows:
        raise UsageError("timeline: there is nothing to draw", field="roles" if roles else "regions",
                         remedy="; ".join(timeline.notes) or "see Timeline.to_pandas()")
    low, middle, high = _parts(timeline.quantiles)
    end = to_ns or max(i.end_ns[high] for _, _, found in rows for i in found)
    first = min(i.start_ns[low] for _, _, found in rows for i in found)
    if not from_ns and first > 0.3 * end:
        from_ns = first - 0.02 * (end - first)  # a long start of the program is no part of the picture
    scale, unit = time_scale(end - from_ns)
    axes = _axes(ax, 11, 1.1 + 0.32 * len(rows) + 0.18 * len(lanes))
    names = list(dict.fromkeys(region for _, region, _ in rows))
    colors = {name: _COLORS[i % len(_COLORS)] for i, name in enumerate(names)}

    y, ticks, labels, seen = 0.0, [], [], ""
    half = 0.36
    pixel = (end - from_ns) / 1600  # about; what is narrower cannot be told from a line
    pale_rows = False
    for label, region, found in rows:
        if label != seen:
            y += 0.55 if seen else 0.0
            axes.annotate(shown(label), (0, y - 0.5), xycoords=("axes fraction", "data"), xytext=(-6, 0),
                          textcoords="offset points", ha="right", va="center", fontsize=9, fontweight="bold", color=_INK)
            y += 0.35
            seen = label
        color = colors[region]
        extent = max(i.end_ns[high] for i in found) - min(i.start_ns[low] for i in found)
        crowded = sum(i.start_ns[high] - i.start_ns[low] for i in found) > 1.5 * extent

        def box(start: float, stop: float, half: float, y: float = y) -> list[tuple[float, float]]:
            return [(start / scale, y - half), (stop / scale, y - half), (stop / scale, y + half), (start / scale, y + half)]

        if crowded:
            pale_rows = True
            times_covered = sum(i.end_ns[high] - i.start_ns[low] for i in found) / extent
            axes.add_collection(PolyCollection([box(i.start_ns[low], i.end_ns[high], half) for i in found], facecolors=color,
                                               edgecolors="none", alpha=max(0.01, 0.3 / times_covered)))
        edges = ["white" if len(found) < 300 and i.end_ns[middle] - i.start_ns[middle] > 4 * pixel else color for i in found]
        axes.add_collection(PolyCollection([box(i.start_ns[middle], i.end_ns[middle], half) for i in found],
                                           facecolors=color, edgecolors=edges, linewidths=0.4))
        whiskers: list[list[tuple[float, float]]] = []
        for i in [] if crowded else found:
            for edge, at in ((i.start_ns, y - 0.16), (i.end_ns, y + 0.16)):
                if edge[high] - edge[low] > pixel:
                    a, b = edge[low] / scale, edge[high] / scale
                    whiskers += [[(a, at), (b, at)], [(a, at - 0.1), (a, at + 0.1)], [(b, at - 0.1), (b, at + 0.1)]]
        axes.add_collection(LineCollection(whiskers, colors=_INK, linewidths=0.8))
        ticks.append(y)
        labels.append(shown(region))
        y += 1
    axes.set_yticks(ticks, labels, fontsize=9)
    axes.set_ylim(y - 0.3, -0.85)
    axes.set_xlim(from_ns / scale, end / scale * 1.01)
    _quiet(axes)
    origin = "since the start of a CTA" if timeline.origin == sextant_pb2.SINCE_CTA else "since the pass began"
    axes.set_xlabel(f"time {origin} [{unit}]", color=_INK)
    quantile = [f"P{timeline.quantiles[i] * 100:g}" for i in (low, middle, high)]
    left_out = sum(lane.instances_left_out for lane in lanes)
    note = f"; pale: {quantile[0]} start to {quantile[2]} end, where whiskers would overlap" if pale_rows else ""
    note += f"; {left_out:,} later instances are not drawn" if left_out else ""
    axes.set_title(f"{shown(timeline.program)} · job {timeline.job_id} · {timeline.passes} passes\n"
                   f"bars: {quantile[1]} start to {quantile[1]} end; whiskers: {quantile[0]} to {quantile[2]} of the start "
                   f"(upper) and the end (lower){note}", loc="left", fontsize=9, color=_INK)
    return axes


def _stack(ax: "Axes", y: Sequence[float], parts: Iterable[tuple[str, Sequence[float]]]) -> None:
    left = [0.0] * len(y)
    for i, (name, widths) in enumerate(parts):
        ax.barh(y, widths, left=left, color=_COLORS[i % len(_COLORS)], label=shown(name), height=0.7)
        left = [a + b for a, b in zip(left, widths)]


def draw_hotspots(hotspots: analysis_pb2.Hotspots, ax: "Optional[Axes]" = None, top: int = 20) -> "Axes":
    """Bars of the largest shares; the largest stall reasons told apart."""
    spots = list(hotspots.hotspots)[:top]
    if not spots:
        raise UsageError("hotspots: there is nothing to draw", field="top",
                         remedy="; ".join(hotspots.basis.notes) or "run a pass of pcsampling")
    axes = _axes(ax, 9, 1.2 + 0.3 * len(spots))
    totals: dict[str, float] = {}
    for spot in spots:
        for stall in spot.stalls:
            totals[stall.name] = totals.get(stall.name, 0) + stall.value
    reasons = sorted(totals, key=lambda name: -totals[name])[:_MOST_REASONS]
    y = list(range(len(spots)))

    def width(spot: analysis_pb2.Hotspot, names: Sequence[str]) -> float:
        whole = sum(s.value for s in spot.stalls)
        return 100 * spot.share * sum(s.value for s in spot.stalls if s.name in names) / whole if whole else 0.0

    parts = [(name, [width(s, [name]) for s in spots]) for name in reasons]
    rest = [max(0.0, 100 * s.share - sum(widths[i] for _, widths in parts)) for i, s in enumerate(spots)]
    _stack(axes, y, [*parts, ("other", rest)] if any(r > 0.01 for r in rest) else parts)
    axes.set_yticks(y, [shown(s.name + ("  " + s.text.strip() if s.text else "")) for s in spots], fontsize=8)
    axes.invert_yaxis()
    _quiet(axes)
    axes.set_xlabel("share of the kernel [%]", color=_INK)
    axes.set_title(f"{shown(hotspots.basis.kernel)} · by {hotspots.by}", loc="left", fontsize=9, color=_INK)
    if reasons:
        axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return axes


def draw_occupancy(occupancy: analysis_pb2.OccupancyOverTime, ax: "Optional[Axes]" = None) -> "Axes":
    """Resident CTAs over the launch, and the SMs that are busy, as shares of what there is."""
    resident, active = list(occupancy.resident_ctas), list(occupancy.active_sms)
    if not resident:
        raise UsageError("occupancy: there is nothing to draw", field="launch",
                         remedy="; ".join(occupancy.basis.notes) or "run a pass of scopes")
    axes = _axes(ax, 9, 3)
    scale, unit = time_scale(occupancy.bucket_ns * len(resident))
    times = [i * occupancy.bucket_ns / scale for i in range(len(resident) + 1)]
    axes.stairs(resident, times, fill=True, color=_COLORS[0], alpha=0.35, label="resident CTAs")
    if active:
        axes.stairs(active, times, color=_COLORS[1], linewidth=1.5, label="SMs with a CTA")
    for wave in occupancy.waves[1:]:
        axes.axvline(wave.start_ns / scale, color=_INK, linewidth=0.6, linestyle=":")
    axes.set_ylim(0)
    axes.set_xlim(0, times[-1])
    _quiet(axes, "y")
    axes.set_xlabel(f"time since the launch [{unit}]", color=_INK)
    tail = f" · tail {100 * occupancy.tail_loss_share:.1f} % of SM time idle" if occupancy.tail_loss_share > 0 else ""
    axes.set_title(f"{shown(occupancy.basis.kernel)} · {occupancy.ctas} CTAs on {occupancy.sms} SMs, "
                   f"{len(occupancy.waves)} waves{tail}", loc="left", fontsize=9, color=_INK)
    axes.legend(fontsize=8, frameon=False)
    return axes


def draw_roofline(roofline: analysis_pb2.Roofline, ax: "Optional[Axes]" = None) -> "Axes":
    """Ceilings of work and of bandwidth, and where each kernel stands at each level of memory."""
    points = [p for p in roofline.points if p.intensity > 0 and p.achieved > 0]
    if not points:
        raise UsageError("roofline: there is nothing to draw", field="kernel",
                         remedy="; ".join(roofline.basis.notes) or "run a pass of counters:roofline")
    axes = _axes(ax, 8, 5)
    least = min(p.intensity for p in points) / 8
    most = max(p.intensity for p in points) * 8
    work = [c for c in roofline.ceilings if c.unit == "FLOP/s"]
    flat = max([c.value for c in work], default=max(p.attainable for p in points))
    alike: dict[str, list[analysis_pb2.Ceiling]] = {}  # within 5 %: one line with all their names
    for ceiling in work:
        alike.setdefault(f"{20 * math.log(ceiling.value):.0f}" if ceiling.value > 0 else "", []).append(ceiling)
    for same in alike.values():
        axes.axhline(same[0].value, color=_INK, linewidth=1)
        axes.text(most, same[0].value, ", ".join(shown(c.name) for c in same) + " ", ha="right", va="bottom", fontsize=7,
                  color=_INK)
    for ceiling in roofline.ceilings:
        if ceiling.unit == "B/s":
            meets = flat / ceiling.value
            xs = [least, min(max(meets, least), most)]
            axes.plot(xs, [x * ceiling.value for x in xs], color=_INK, linewidth=1)
            axes.text(least, least * ceiling.value, f" {shown(ceiling.name)}", ha="left", va="bottom", fontsize=7,
                      color=_INK)
    for i, point in enumerate(points):
        label = " · ".join(shown(part) for part in (point.region or point.kernel, point.level) if part)
        axes.plot(point.intensity, point.achieved, "o", color=_COLORS[i % len(_COLORS)],
                  label=f"{label}: {100 * point.share:.0f} %" if math.isfinite(point.share) else label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(least, most)
    _quiet(axes, "both")
    axes.set_xlabel("intensity [FLOP/B]", color=_INK)
    axes.set_ylabel("work [FLOP/s]", color=_INK)
    axes.legend(fontsize=7, frameon=False, loc="lower right", title="share of attainable", title_fontsize=7)
    return axes


def draw_comparison(comparison: sextant_pb2.Comparison, ax: "Optional[Axes]" = None, top: int = 20) -> "Axes":
    """Relative changes with their 95 % intervals; between the dotted lines nothing counts."""
    deltas = [d for d in comparison.deltas if math.isfinite(d.relative)][:top]
    if not deltas:
        raise UsageError("comparison: there is nothing to draw", field="before",
                         remedy="; ".join(comparison.notes) or comparison.why)
    axes = _axes(ax, 9, 1.2 + 0.3 * len(deltas))
    colors = {"faster": "#228833", "slower": "#cc3311"}
    for y, d in enumerate(deltas):
        color = colors.get(d.verdict, "#777777")
        if math.isfinite(d.low) and math.isfinite(d.high):
            axes.plot([100 * d.low, 100 * d.high], [y, y], color=color, linewidth=2, solid_capstyle="butt")
        axes.plot(100 * d.relative, y, "o", color=color, markersize=5)
    axes.axvline(0, color=_INK, linewidth=0.8)
    for gate in (-comparison.gate, comparison.gate):
        axes.axvline(100 * gate, color=_INK, linewidth=0.6, linestyle=":")
    labels = [" ".join(shown(part) for part in (d.kind, d.role, d.name) if part) for d in deltas]
    axes.set_yticks(range(len(deltas)), labels, fontsize=8)
    axes.set_ylim(len(deltas) - 0.4, -0.6)
    _quiet(axes)
    axes.set_xlabel("change from A to B [%]; left is less", color=_INK)
    axes.set_title(f"job {comparison.job_b} against job {comparison.job_a}: {comparison.verdict}", loc="left", fontsize=9,
                   color=_INK)
    return axes
