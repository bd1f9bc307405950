// A repeated sequence folded: what comes before, one typical iteration, what comes after.
import type { LoopFold } from "../gen/sextant/v1/analysis_pb";
import { ns, count, percent, plain } from "../format";
import { Grid } from "../ui";

const mid = (values: readonly number[]) => values[values.length >> 1] ?? NaN;

export function Fold({ fold, colors }: { fold: LoopFold; colors: Map<string, number> }) {
  const period = Math.max(mid(fold.periodNs), ...fold.iteration.map((r) => mid(r.startNs) + mid(r.durationNs)).filter(Number.isFinite));
  const iterations = Number(fold.iterations);
  const at = (value: number) => `${(Math.max(0, value) / period) * 100}%`;
  return (
    <figure class="fold">
      <figcaption>
        <strong>{plain(fold.role || "(no role)")}</strong>: {count(fold.iterations)} iterations of {ns(mid(fold.periodNs))},
        steady for {percent(fold.steadyShare)} of its time
      </figcaption>
      <div class="folded">
        <Part title="before" detail={`${ns(mid(fold.prologueNs))}, ${count(fold.prologueIterations)} iterations`} />
        <div class="iteration" role="img" aria-label={`One typical iteration of ${fold.iteration.length} regions`}>
          {fold.iteration.map((r) => (
            <div class="lane" style={{ paddingLeft: `${r.depth * 6}px` }}>
              <div class="track">
                <span class="bar" title={`${plain(r.region)}: ${ns(mid(r.durationNs))}`}
                  style={{ left: at(mid(r.startNs)), width: at(mid(r.durationNs)), background: `var(--region-${colors.get(r.region) ?? 0})` }} />
              </div>
            </div>
          ))}
        </div>
        <Part title="after" detail={`${ns(mid(fold.epilogueNs))}, ${count(fold.epilogueIterations)} iterations`} />
      </div>
      <Grid rows={fold.iteration} caption={`Typical iteration of ${plain(fold.role)}, ${iterations} iterations`} columns={[
        { name: "region", cell: (r) => <><i class="dot" style={{ background: `var(--region-${colors.get(r.region) ?? 0})` }} />{plain(r.region)}</> },
        { name: "start", number: true, cell: (r) => ns(mid(r.startNs)) },
        { name: "low", number: true, cell: (r) => ns(r.durationNs[0] ?? NaN) },
        { name: "duration", number: true, cell: (r) => ns(mid(r.durationNs)) },
        { name: "high", number: true, cell: (r) => ns(r.durationNs[r.durationNs.length - 1] ?? NaN) },
        { name: "spread", number: true, cell: (r) => percent(r.spread) },
      ]} />
    </figure>
  );
}

function Part({ title, detail }: { title: string; detail: string }) {
  return <div class="part"><b>{title}</b><span class="faint">{detail}</span></div>;
}
