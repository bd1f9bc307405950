// The timeline as a table: for screen readers, copying, and those who prefer numbers.
import type { Timeline } from "../gen/sextant/v1/sextant_pb";
import { count, ns, percent, plain } from "../format";
import { Grid } from "../ui";

const kShown = 500;

export function TimelineTable({ timeline }: { timeline: Timeline }) {
  const rows = timeline.lanes.flatMap((lane) => lane.instances.map((stat) => ({ lane, stat })));
  const mid = timeline.quantiles.length >> 1;
  const top = timeline.quantiles.length - 1;
  const p = (i: number) => `P${(timeline.quantiles[i] ?? NaN) * 100}`;
  return (
    <>
      <Grid rows={rows.slice(0, kShown)} caption="Region instances" columns={[
        { name: "role", cell: ({ lane }) => plain(lane.role) },
        { name: "region", cell: ({ stat }) => <span style={{ paddingLeft: `${stat.depth}em` }}>{plain(stat.region)}</span> },
        { name: "#", number: true, cell: ({ stat }) => String(stat.ordinal) },
        { name: `start ${p(mid)}`, number: true, cell: ({ stat }) => ns(stat.startNs[mid] ?? NaN) },
        { name: `duration ${p(0)}`, number: true, cell: ({ stat }) => ns(stat.durationNs[0] ?? NaN) },
        { name: p(mid), number: true, cell: ({ stat }) => ns(stat.durationNs[mid] ?? NaN) },
        { name: p(top), number: true, cell: ({ stat }) => ns(stat.durationNs[top] ?? NaN) },
        { name: "spread", number: true, cell: ({ stat }) => percent(stat.spread) },
        { name: "seen", number: true, cell: ({ stat }) => count(stat.count) },
      ]} />
      {rows.length > kShown ? <p class="faint">The first {kShown} of {count(rows.length)}; the export holds them all.</p> : null}
    </>
  );
}

export function RegionTable({ timeline, colors, onRegion }: { timeline: Timeline; colors: Map<string, number>; onRegion?: (region?: string) => void }) {
  const mid = timeline.quantiles.length >> 1;
  return (
    <Grid rows={timeline.regions} caption="Regions, all instances of all passes" columns={[
      { name: "role", cell: (r) => plain(r.role) },
      { name: "region", cell: (r) => (
        <button class="plain" onMouseEnter={() => onRegion?.(r.region)} onMouseLeave={() => onRegion?.()} onFocus={() => onRegion?.(r.region)} onBlur={() => onRegion?.()}>
          <i class="dot" style={{ background: `var(--region-${colors.get(r.region) ?? 0})` }} />{plain(r.region)}
        </button>) },
      { name: "count", number: true, cell: (r) => count(r.count) },
      ...timeline.quantiles.map((q, i) => ({ name: `P${q * 100}`, number: true, cell: (r: (typeof timeline.regions)[number]) => i === mid ? <b>{ns(r.durationNs[i] ?? NaN)}</b> : ns(r.durationNs[i] ?? NaN) })),
      { name: "total", number: true, cell: (r) => ns(r.sumNs) },
      { name: "error", number: true, cell: (r) => r.relativeError ? `≤ ${percent(r.relativeError)}` : "exact" },
    ]} />
  );
}
