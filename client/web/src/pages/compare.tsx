// Two jobs: the verdict, the rows that moved, and their timelines one above the other.
import { useMemo, useState } from "preact/hooks";
import { call, Sextant } from "../api";
import type { Delta, Timeline } from "../gen/sextant/v1/sextant_pb";
import { percent, plain, ns, significant } from "../format";
import { href, type Route } from "../route";
import { Busy, Grid, Notes, Problem, useCall } from "../ui";
import { TimelineCanvas } from "../timeline/canvas";
import { clampView, makeModel, type View } from "../timeline/model";

export function Compare({ route }: { route: Route }) {
  const [a, setA] = useState(route.parts[1] ?? "");
  const [b, setB] = useState(route.parts[2] ?? "");
  const ready = /^\d+$/.test(route.parts[1] ?? "") && /^\d+$/.test(route.parts[2] ?? "");
  return (
    <>
      <h1>Compare two jobs</h1>
      <form class="tools" onSubmit={(e) => { e.preventDefault(); location.hash = href(["compare", a.trim(), b.trim()]); }}>
        <label>before <input value={a} inputMode="numeric" pattern="\d+" required size={8} onInput={(e) => setA(e.currentTarget.value)} /></label>
        <label>after <input value={b} inputMode="numeric" pattern="\d+" required size={8} onInput={(e) => setB(e.currentTarget.value)} /></label>
        <button class="main">Compare</button>
      </form>
      {ready ? <Answer key={`${route.parts[1]}/${route.parts[2]}`} a={BigInt(route.parts[1]!)} b={BigInt(route.parts[2]!)} /> : null}
    </>
  );
}

const value = (d: Delta, v: number) => d.unit === "ns" ? ns(v) : `${significant(v)} ${d.unit}`;
const signed = (v: number) => Number.isFinite(v) ? `${v > 0 ? "+" : ""}${percent(v)}` : "—";
const about = (d: Delta) => [d.role, d.name || d.region || d.kernel].filter(Boolean).map((s) => plain(s, 70)).join(" ");

function Answer({ a, b }: { a: bigint; b: bigint }) {
  const answer = useCall(`${a}/${b}`, (signal) => call(Sextant.method.compareJobs, { jobA: a, jobB: b }, signal));
  const pair = useCall(`timelines/${a}/${b}`, (signal) => Promise.all([a, b].map((jobId) => call(Sextant.method.getTimeline, { jobId }, signal))));
  if (answer.error) return <Problem error={answer.error} />;
  if (!answer.value) return <Busy what="Comparing" />;
  const c = answer.value;
  return (
    <>
      <p class="lead"><span class={`badge ${c.verdict.replace(" ", "-")}`}>{c.verdict}</span> {plain(c.why, 1000)}</p>
      {c.environment.length ? <><h3>Measured differently</h3><ul class="facts">{c.environment.map((e) => <li><b>{plain(e.what)}</b>: {plain(e.a)} → {plain(e.b)}{e.blocks ? " (no verdict is given across it)" : ""}</li>)}</ul></> : null}
      <h3>What moved</h3>
      <Grid rows={c.deltas.slice(0, 200)} caption="Deltas" columns={[
        { name: "kind", cell: (d) => d.kind }, { name: "what", cell: about },
        { name: "before", number: true, cell: (d) => d.passesA ? value(d, d.a) : "—" }, { name: "after", number: true, cell: (d) => d.passesB ? value(d, d.b) : "—" },
        { name: "change", number: true, cell: (d) => <b>{signed(d.relative)}</b> },
        { name: "95 % interval", number: true, cell: (d) => Number.isFinite(d.low) ? `${signed(d.low)} … ${signed(d.high)}` : "—" },
        { name: "noise", number: true, cell: (d) => percent(d.noiseFloor) },
        { name: "verdict", cell: (d) => <span class={`badge ${d.verdict.replace(" ", "-")}`} title={d.why}>{d.verdict}</span> },
      ]} />
      {c.code.filter((d) => !d.same).map((d) => <details><summary>{plain(d.kernel, 60)}: {d.level} differs, −{d.removed} +{d.added} lines</summary><pre class="log" tabIndex={0}>{d.diff}</pre></details>)}
      <h3>Timelines</h3>
      {pair.error ? <Problem error={pair.error} /> : !pair.value ? <Busy what="Joining passes" /> : <Both a={a} b={b} timelines={pair.value} />}
      <Notes notes={c.notes} />
    </>
  );
}

// One view for both, so that the same length is the same time.
function Both({ a, b, timelines }: { a: bigint; b: bigint; timelines: Timeline[] }) {
  const colors = useMemo(() => new Map<string, number>(), [a, b]);
  const models = useMemo(() => timelines.map((t) => makeModel(t, colors)), [timelines]);
  const all: View = { from: Math.min(...models.map((m) => m.first)), to: Math.max(...models.map((m) => m.last)) };
  const [view, setView] = useState<View>(all);
  const shared = models.map((m) => ({ ...m, first: all.from, last: all.to }));
  return <>{shared.map((model, i) => <figure><figcaption>{i === 0 ? "before" : "after"}: <a href={href(["job", i === 0 ? a : b, "timeline"])}>job {String(i === 0 ? a : b)}</a></figcaption>
    <TimelineCanvas model={model} name={`Timeline of job ${i === 0 ? a : b}`} view={view} onView={(v) => setView(clampView(v, all.from, all.to))} path={false} /></figure>)}</>;
}
