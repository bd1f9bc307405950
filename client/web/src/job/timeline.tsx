// The tab "Timeline": what the passes agree on.
import { useMemo, useState } from "preact/hooks";
import { call, Sextant } from "../api";
import { count, ns, percent, plain } from "../format";
import { href } from "../route";
import { Busy, Grid, Notes, Problem, ShareBar, useCall } from "../ui";
import { OverTime } from "../timeline/buckets";
import { TimelineCanvas } from "../timeline/canvas";
import { Fold } from "../timeline/fold";
import { makeModel } from "../timeline/model";
import { RegionTable, TimelineTable } from "../timeline/table";
import type { TabProps } from "./tabs";

const kPathSteps = 2000;   // of the critical path that are outlined

type Mode = "instances" | "loops" | "time" | "table";
const kModes: [Mode, string][] = [["instances", "Instances"], ["loops", "Loops folded"], ["time", "Over time"], ["table", "Table"]];

export function TimelineTab({ jobId, task, kernel, version }: TabProps) {
  const [mode, setMode] = useState<Mode>("instances");
  const [region, setRegion] = useState<string>();
  const [showPath, setShowPath] = useState(false);
  const timeline = useCall(`${jobId}/${task}/${kernel}/${version}`, (signal) =>
    call(Sextant.method.getTimeline, { jobId, task, kernel, foldLoops: true, overlaps: true }, signal));
  const path = useCall(`path/${jobId}/${task}/${kernel}/${showPath}/${version}`, async (signal) =>
    showPath ? call(Sextant.method.getCriticalPath, { subject: { jobId, task, kernel }, maxSteps: kPathSteps }, signal) : undefined);
  const middlePath = path.value?.paths.find((p) => Math.abs(p.quantile - 0.5) < 0.01) ?? path.value?.paths[0];
  const colors = useMemo(() => new Map<string, number>(), [jobId, task]);
  const model = useMemo(() => timeline.value && makeModel(timeline.value, colors, showPath ? middlePath : undefined),
    [timeline.value, middlePath, showPath]);
  if (timeline.error) return <Problem error={timeline.error} />;
  if (!timeline.value || !model) return <Busy what="Joining passes" />;
  const t = timeline.value;
  return (
    <section aria-busy={timeline.busy}>
      <p class="lead">
        {count(t.passes)} passes joined{t.passesLeftOut ? `, ${t.passesLeftOut} left out` : ""}; {count(t.events)} events
        {t.dropped ? `, ${count(t.dropped)} lost` : ""}; span {ns(t.spanNs[t.spanNs.length >> 1] ?? NaN)}.
        {model.bars > 0 ? " Bars are medians; whiskers reach from " + `P${model.quantiles.low * 100} to P${model.quantiles.high * 100}.` : ""}
      </p>
      <div class="tools">
        <div class="choices" role="group" aria-label="View">
          {kModes.map(([id, label]) => (
            <button aria-pressed={mode === id} disabled={id === "loops" && t.loops.length === 0} onClick={() => setMode(id)}>{label}</button>
          ))}
        </div>
        <label><input type="checkbox" checked={showPath} onChange={(e) => setShowPath(e.currentTarget.checked)} /> critical path</label>
      </div>
      {showPath && path.error ? <Problem error={path.error} /> : null}
      {showPath && middlePath ? <p class="faint">Critical path: {middlePath.shares.slice(0, 4).map((s) =>
        `${plain(s.role)} ${plain(s.region)} ${percent(s.share)}`).join(" · ")}{middlePath.stepsLeftOut ? `. Outlined are its first ${count(middlePath.steps.length)} steps; ${count(middlePath.stepsLeftOut)} later ones are not.` : ". All its steps are outlined."}</p> : null}
      {mode === "instances" ? <TimelineCanvas model={model} name="Statistical timeline" region={region} path={showPath && !!middlePath} /> : null}
      {mode === "loops" ? t.loops.map((fold) => <Fold fold={fold} colors={colors} />) : null}
      {mode === "time" ? <OverTime jobId={jobId} task={task} colors={colors} /> : null}
      {mode === "table" ? <TimelineTable timeline={t} /> : null}
      {mode === "instances" ? <p class="faint hint">Drag to move, Ctrl and the wheel or + and − to zoom, double click or 0 for all, n and p to step.</p> : null}
      <h3>Regions</h3>
      <RegionTable timeline={t} colors={colors} onRegion={setRegion} />
      {t.overlaps.length ? <>
        <h3>What hides under what</h3>
        <Grid rows={t.overlaps} caption="Overlap of roles" columns={[
          { name: "region", cell: (o) => `${plain(o.role)} ${plain(o.region)}` },
          { name: "busy", number: true, cell: (o) => ns(o.busyNs) },
          { name: "runs under", cell: (o) => `${plain(o.otherRole)} ${plain(o.otherRegion) || "(anything)"}` },
          { name: "hidden", cell: (o) => <ShareBar share={o.hiddenShare} text={percent(o.hiddenShare)} /> },
          { name: "exposed", number: true, cell: (o) => ns(o.exposedNs) },
        ]} /></> : null}
      <Notes notes={t.notes} />
      <p><a href={href(["compare", jobId, ""])}>Compare with another job</a></p>
    </section>
  );
}
