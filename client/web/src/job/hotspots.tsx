// The tab "Hotspots": where samples fall, by line, function, region or instruction; source and SASS
// side by side.
import { useMemo, useState } from "preact/hooks";
import { call, Sextant } from "../api";
import type { Hotspot } from "../gen/sextant/v1/analysis_pb";
import { count, ns, percent, plain } from "../format";
import { Busy, Grid, Notes, Problem, ShareBar, useCall } from "../ui";
import { heatOfFiles, readSources, SourceListing } from "./source";
import type { TabProps } from "./tabs";

const kBy = ["line", "function", "region", "kernel", "sass"] as const;
const kNoLine = "(no line)";   // as the service calls it

const stalls = (h: Hotspot) => h.stalls.slice(0, 3).map((s) => `${plain(s.name, 40)} ${percent(s.share)}`).join(", ");

export function HotspotsTab({ jobId, task, kernel, version }: TabProps) {
  const [by, setBy] = useState<string>("line");
  const [within, setWithin] = useState("");
  const [file, setFile] = useState("");
  const about = `${jobId}/${task}/${kernel}/${version}`;
  const ask = (what: string, inside: string, top: number) => (signal: AbortSignal) =>
    call(Sextant.method.getHotspots, { subject: { jobId, task, kernel }, by: what, within: inside, top }, signal);
  const left = useCall(`${by}/${about}`, ask(by, "", by === "line" ? 1000 : 100));
  const right = useCall(`sass/${within}/${about}`, ask("sass", by === "kernel" || within === kNoLine ? "" : within, 200));
  const sources = useCall(`sources/${jobId}/${task}`, (signal) => readSources(jobId, task, signal));
  const heat = useMemo(() => heatOfFiles(by === "line" ? left.value?.hotspots ?? [] : [], sources.value ?? []), [left.value, sources.value, by]);
  const shown = heat.find((f) => f.source.path === file) ?? heat[0];
  const choose = (name: string) => setWithin(within === name ? "" : name);
  return (
    <section>
      <div class="tools"><div class="choices" role="group" aria-label="Hotspots by">
        {kBy.map((b) => <button aria-pressed={by === b} onClick={() => { setBy(b); setWithin(""); }}>{b}</button>)}</div>
        {by === "line" && heat.length > 1 ? <label>Source <select value={shown?.source.path} onChange={(e) => setFile(e.currentTarget.value)}>
          {heat.map((f) => <option value={f.source.path}>{plain(f.source.path, 60)} ({percent(f.share)})</option>)}</select></label> : null}</div>
      <div class={by === "sass" ? "" : "sides"}>
        <div>
          {by === "line" && shown ? <SourceListing file={shown} selected={within} onSelect={choose} /> : null}
          <h3>{by === "sass" ? "Instructions" : by === "line" && shown ? "All lines" : `By ${by}`}</h3>
          {left.error ? <Problem error={left.error} /> : !left.value ? <Busy what="Counting samples" /> : <>
            <Grid rows={left.value.hotspots.slice(0, 100)} caption={`Hotspots by ${by}`} columns={[
              { name: by, cell: (h) => by === "sass" ? <code>{plain(h.name)}</code> :
                <button class="plain" aria-pressed={within === h.name} onClick={() => choose(h.name)}>{plain(h.name, 80)}</button> },
              { name: "share", cell: (h) => <ShareBar share={h.share} text={percent(h.share)} /> },
              { name: by === "region" || by === "kernel" ? "time" : "samples", number: true, cell: (h) => Number.isFinite(h.timeNs) && h.timeNs > 0 ? ns(h.timeNs) : count(h.samples) },
              { name: "stalls", wrap: true, cell: stalls },
              { name: "text", cell: (h) => <code>{plain(h.text, 120)}</code> },
            ]} />
            {left.value.leftOut || left.value.hotspots.length > 100 ? <p class="faint">{count(Number(left.value.leftOut) + Math.max(0, left.value.hotspots.length - 100))} more below these.</p> : null}
            {by === "line" && sources.value && !shown ? <p class="faint">The job has no source beside it: send it with <code>sextant run --file kernel.py …</code> to read it here.</p> : null}
            <Notes notes={left.value.basis?.notes ?? []} /></>}
        </div>
        {by !== "sass" ? <div>
          <h3>SASS{within ? ` of ${plain(within, 60)}` : ""}</h3>
          {right.error ? <Problem error={right.error} /> : !right.value ? <Busy what="Reading instructions" /> : <>
            <Grid rows={right.value.hotspots} caption="Instructions" columns={[
              { name: "pc", cell: (h) => <code>{plain(h.name)}</code> },
              { name: "share", cell: (h) => <ShareBar share={h.share} text={percent(h.share)} /> },
              { name: "instruction", cell: (h) => <code>{plain(h.text, 100)}</code> },
              { name: "executed", number: true, cell: (h) => count(h.executed) },
              { name: "stalls", wrap: true, cell: stalls },
            ]} />
            {right.value.leftOut ? <p class="faint">{count(right.value.leftOut)} more below these.</p> : null}</>}
        </div> : null}
      </div>
    </section>
  );
}
