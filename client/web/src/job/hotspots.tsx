// The tab "Hotspots": where samples fall, by line, function, region or instruction; source and SASS
// side by side.
import { useState } from "preact/hooks";
import { call, Sextant } from "../api";
import type { Hotspot } from "../gen/sextant/v1/analysis_pb";
import { count, ns, percent, plain } from "../format";
import { Busy, Grid, Notes, Problem, ShareBar, useCall } from "../ui";
import type { TabProps } from "./tabs";

const kBy = ["line", "function", "region", "kernel", "sass"] as const;

const stalls = (h: Hotspot) => h.stalls.slice(0, 3).map((s) => `${plain(s.name, 40)} ${percent(s.share)}`).join(", ");

export function HotspotsTab({ jobId, task, kernel, version }: TabProps) {
  const [by, setBy] = useState<string>("line");
  const [within, setWithin] = useState("");
  const ask = (what: string, inside: string, top: number) => (signal: AbortSignal) =>
    call(Sextant.method.getHotspots, { subject: { jobId, task, kernel }, by: what, within: inside, top }, signal);
  const left = useCall(`${by}/${jobId}/${task}/${kernel}/${version}`, ask(by, "", 100));
  const right = useCall(`sass/${within}/${jobId}/${task}/${kernel}/${version}`, ask("sass", by === "kernel" ? "" : within, 200));
  return (
    <section>
      <div class="tools"><div class="choices" role="group" aria-label="Hotspots by">
        {kBy.map((b) => <button aria-pressed={by === b} onClick={() => { setBy(b); setWithin(""); }}>{b}</button>)}</div></div>
      <div class={by === "sass" ? "" : "sides"}>
        <div>
          <h3>{by === "sass" ? "Instructions" : `By ${by}`}</h3>
          {left.error ? <Problem error={left.error} /> : !left.value ? <Busy what="Counting samples" /> : <>
            <Grid rows={left.value.hotspots} caption={`Hotspots by ${by}`} columns={[
              { name: by, cell: (h) => by === "sass" ? <code>{plain(h.name)}</code> :
                <button class="plain" aria-pressed={within === h.name} onClick={() => setWithin(within === h.name ? "" : h.name)}>{plain(h.name, 80)}</button> },
              { name: "share", cell: (h) => <ShareBar share={h.share} text={percent(h.share)} /> },
              { name: by === "region" || by === "kernel" ? "time" : "samples", number: true, cell: (h) => Number.isFinite(h.timeNs) && h.timeNs > 0 ? ns(h.timeNs) : count(h.samples) },
              { name: "stalls", wrap: true, cell: stalls },
              { name: "text", cell: (h) => <code>{plain(h.text, 120)}</code> },
            ]} />
            {left.value.leftOut ? <p class="faint">{count(left.value.leftOut)} more below these.</p> : null}
            <Notes notes={left.value.basis?.notes ?? []} /></>}
        </div>
        {by !== "sass" ? <div>
          <h3>SASS{within ? ` of ${plain(within, 60)}` : ""}</h3>
          {right.error ? <Problem error={right.error} /> : !right.value ? <Busy what="Reading instructions" /> :
            <Grid rows={right.value.hotspots} caption="Instructions" columns={[
              { name: "pc", cell: (h) => <code>{plain(h.name)}</code> },
              { name: "instruction", cell: (h) => <code>{plain(h.text, 100)}</code> },
              { name: "share", cell: (h) => <ShareBar share={h.share} text={percent(h.share)} /> },
              { name: "executed", number: true, cell: (h) => count(h.executed) },
              { name: "stalls", wrap: true, cell: stalls },
            ]} />}
        </div> : null}
      </div>
    </section>
  );
}
