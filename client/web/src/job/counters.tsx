// The tab "Counters": speed of light, the roofline picture, regions' costs, registers.
import { call, Sextant } from "../api";
import type { Roofline } from "../gen/sextant/v1/analysis_pb";
import { count, percent, plain, si, significant } from "../format";
import { Busy, Grid, Notes, Problem, ShareBar, useCall } from "../ui";
import type { TabProps } from "./tabs";

export function CountersTab(props: TabProps) {
  return <><RooflineSection {...props} /><CostsSection {...props} /><RegistersSection {...props} /></>;
}

const key = (p: TabProps) => `${p.jobId}/${p.task}/${p.kernel}/${p.version}`;
const subject = ({ jobId, task, kernel }: TabProps) => ({ jobId, task, kernel });

function RooflineSection(props: TabProps) {
  const answer = useCall(key(props), (signal) => call(Sextant.method.getRoofline, { subject: subject(props) }, signal));
  return (
    <section><h3>Speed of light and roofline</h3>
      {answer.error ? <Problem error={answer.error} /> : !answer.value ? <Busy what="Reading counters" /> : <>
        <Grid rows={answer.value.speedOfLight} caption="Achieved of the peak" columns={[
          { name: "unit", cell: (s) => plain(s.unitName) },
          { name: "of its peak", cell: (s) => <ShareBar share={s.achievedPct / 100} text={`${significant(s.achievedPct)} %`} /> },
          { name: "metric", cell: (s) => <code>{plain(s.metric, 90)}</code> },
        ]} />
        {answer.value.points.length ? <RooflinePicture roofline={answer.value} /> : null}
        <Grid rows={answer.value.points} caption="Roofline points" columns={[
          { name: "of", cell: (p) => plain(p.region || p.kernel, 60) }, { name: "level", cell: (p) => p.level },
          { name: "intensity", unit: "FLOP/B", number: true, cell: (p) => significant(p.intensity) },
          { name: "achieved", number: true, cell: (p) => si(p.achieved, "FLOP/s") }, { name: "attainable", number: true, cell: (p) => si(p.attainable, "FLOP/s") },
          { name: "share", cell: (p) => <ShareBar share={p.share} text={percent(p.share)} /> }, { name: "bound by", cell: (p) => plain(p.boundBy) },
        ]} />
        <Notes notes={[...(answer.value.basis?.notes ?? []), ...(answer.value.basis?.abstentions ?? []).map((a) => `${a.question}: ${a.why}${a.pass ? ` (--pass ${a.pass})` : ""}`)]} /></>}
    </section>
  );
}

function RooflinePicture({ roofline }: { roofline: Roofline }) {
  const width = 640, height = 320, left = 64, bottom = 36;
  const flops = roofline.ceilings.filter((c) => c.unit === "FLOP/s" && c.value > 0);
  const bandwidths = roofline.ceilings.filter((c) => c.unit === "B/s" && c.value > 0);
  const points = roofline.points.filter((p) => p.intensity > 0 && p.achieved > 0);
  if (!flops.length || !bandwidths.length || !points.length) return null;
  const top = Math.max(...flops.map((c) => c.value));
  const xs = [...points.map((p) => p.intensity), ...bandwidths.map((b) => top / b.value)];
  const x0 = Math.log10(Math.min(...xs)) - 0.5, x1 = Math.log10(Math.max(...xs)) + 0.7;
  const y0 = Math.log10(Math.min(...points.map((p) => p.achieved), top / 1000)) - 0.3, y1 = Math.log10(top) + 0.25;
  const x = (v: number) => left + ((Math.log10(v) - x0) / (x1 - x0)) * (width - left - 12);
  const y = (v: number) => 10 + (1 - (Math.log10(v) - y0) / (y1 - y0)) * (height - bottom - 10);
  // Ceilings that lie on each other share a line and a label.
  const roofs: { value: number; names: string[] }[] = [];
  for (const c of flops.sort((a, b) => b.value - a.value)) {
    const last = roofs[roofs.length - 1];
    if (last && y(c.value) - y(last.value) < 9) last.names.push(c.name);
    else roofs.push({ value: c.value, names: [c.name] });
  }
  const decades = (a: number, b: number) => Array.from({ length: Math.max(0, Math.floor(b) - Math.ceil(a) + 1) }, (_, i) => 10 ** (Math.ceil(a) + i));
  return (
    <figure><svg class="roofline" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={`Roofline with ${points.length} points`}>
      {decades(x0, x1).map((v) => <g><line class="gridline" x1={x(v)} x2={x(v)} y1={10} y2={height - bottom} /><text x={x(v)} y={height - bottom + 16} text-anchor="middle">{significant(v)}</text></g>)}
      {decades(y0, y1).map((v) => <g><line class="gridline" x1={left} x2={width - 12} y1={y(v)} y2={y(v)} /><text x={left - 6} y={y(v) + 4} text-anchor="end">{si(v)}</text></g>)}
      {roofs.map((c) => <g><line class="roof" x1={x(Math.max(10 ** x0, c.value / Math.max(...bandwidths.map((b) => b.value))))} x2={width - 12} y1={y(c.value)} y2={y(c.value)} /><text x={width - 14} y={y(c.value) - 5} text-anchor="end">{plain(c.names.join(", "), 80)}</text></g>)}
      {bandwidths.map((b) => { const knee = top / b.value; const from = Math.max(10 ** x0, 10 ** y0 / b.value); return <g><line class="roof" x1={x(from)} y1={y(from * b.value)} x2={x(knee)} y2={y(top)} /><text x={x(from) + 6} y={y(from * b.value) - 6}>{plain(b.name, 40)}</text></g>; })}
      {points.map((p, i) => <circle cx={x(p.intensity)} cy={y(p.achieved)} r="5" style={{ fill: `var(--region-${i % 10})` }}><title>{`${p.region || p.kernel}, ${p.level}: ${si(p.achieved, "FLOP/s")} at ${significant(p.intensity)} FLOP/B`}</title></circle>)}
      <text x={(width + left) / 2} y={height - 4} text-anchor="middle">FLOP/B</text>
    </svg><figcaption class="faint">Achieved FLOP/s against arithmetic intensity, both logarithmic. Hover a point for its name.</figcaption></figure>
  );
}

function CostsSection(props: TabProps) {
  const answer = useCall(key(props), (signal) => call(Sextant.method.getRegionCosts, { subject: subject(props) }, signal));
  return (
    <section><h3>Instructions and cycles of regions</h3>
      {answer.error ? <Problem error={answer.error} /> : !answer.value ? <Busy what="Joining instructions and time" /> : <>
        <Grid rows={answer.value.regions.filter((r) => r.warp < 0)} caption="Costs of regions" columns={[
          { name: "role", cell: (r) => plain(r.role) }, { name: "region", cell: (r) => plain(r.region) },
          { name: "instances", number: true, cell: (r) => count(r.instances) },
          { name: "cycles", number: true, cell: (r) => significant(r.cycles[r.cycles.length >> 1] ?? NaN, 4) },
          { name: "time", cell: (r) => <ShareBar share={r.timeShare} text={percent(r.timeShare)} /> },
          { name: "instructions", number: true, cell: (r) => count(Math.round(r.instructionsExclusive)) },
          { name: "IPC", number: true, cell: (r) => significant(r.ipcExclusive) },
          { name: "mix", wrap: true, cell: (r) => r.mix.slice(0, 3).map((m) => `${plain(m.name, 24)} ${percent(m.share)}`).join(", ") },
          { name: "stalls", wrap: true, cell: (r) => r.stalls.slice(0, 2).map((m) => `${plain(m.name, 30)} ${percent(m.share)}`).join(", ") },
          { name: "confidence", cell: (r) => <span title={r.why}>{percent(r.confidence)}</span> },
        ]} />
        <Notes notes={[...(answer.value.basis?.notes ?? []), ...(answer.value.basis?.abstentions ?? []).map((a) => `${a.question}: ${a.why}${a.pass ? ` (--pass ${a.pass})` : ""}`)]} /></>}
    </section>
  );
}

function RegistersSection(props: TabProps) {
  const answer = useCall(key(props), (signal) => call(Sextant.method.getRegisters, { subject: subject(props) }, signal));
  return (
    <section><h3>Registers and occupancy</h3>
      {answer.error ? <Problem error={answer.error} /> : !answer.value ? <Busy what="Reading the code" /> : <>
        <p>{answer.value.registers} registers a thread{answer.value.maxLive ? `, at most ${answer.value.maxLive} live at once` : ""}; occupancy {significant(answer.value.occupancyPct)} %, limited by {answer.value.limiter || "nothing known"}.</p>
        <Grid rows={answer.value.cases} caption="What a change would do" columns={[
          { name: "change", cell: (c) => plain(c.change) }, { name: "registers", number: true, cell: (c) => c.registers }, { name: "blocks an SM", number: true, cell: (c) => c.blocksPerSm },
          { name: "occupancy", number: true, cell: (c) => `${significant(c.occupancyPct)} %` }, { name: "limiter", cell: (c) => c.limiter }, { name: "needs", wrap: true, cell: (c) => plain(c.needs) }]} />
        {answer.value.spills.length ? <Grid rows={answer.value.spills} caption="Spills" columns={[
          { name: "where", cell: (s) => plain(s.where) }, { name: "kind", cell: (s) => s.store ? "store" : "load" }, { name: "bytes a launch", number: true, cell: (s) => count(s.bytes) }]} /> : null}
        <Notes notes={answer.value.basis?.notes ?? []} /></>}
    </section>
  );
}
