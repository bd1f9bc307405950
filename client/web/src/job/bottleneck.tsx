// The tab "Diagnosis": what bounds the kernels, what to try, what could not be judged.
import { call, Sextant } from "../api";
import { percent, plain } from "../format";
import { Busy, Notes, Problem, ShareBar, useCall } from "../ui";
import type { TabProps } from "./tabs";

export function DiagnosisTab({ jobId, task, kernel, version }: TabProps) {
  const answer = useCall(`${jobId}/${task}/${kernel}/${version}`, (signal) =>
    call(Sextant.method.getDiagnosis, { subject: { jobId, task, kernel }, top: 20 }, signal));
  if (answer.error) return <Problem error={answer.error} />;
  if (!answer.value) return <Busy what="Weighing the evidence" />;
  const d = answer.value;
  return (
    <section>
      <p class="lead">{plain(d.verdict, 1000)}</p>
      <ol class="findings">{d.findings.map((f) => (
        <li class="card">
          <h3>{plain(f.claim, 400)}</h3>
          <p><ShareBar share={f.savesShare} text={Number.isFinite(f.savesShare) ? `up to ${percent(f.savesShare)} of the time` : "saving not known"} />
            <span class={`badge ${f.confidence}`}>{f.confidence} confidence</span> <span class="faint">rule {f.rule}</span></p>
          {f.tryThis.length ? <><h4>To try</h4><ul>{f.tryThis.map((t) => <li>{plain(t, 600)}</li>)}</ul></> : null}
          <details><summary>Evidence</summary><ul>{f.evidence.map((e) => <li>{plain(e, 600)}</li>)}</ul>
            <p class="faint">{f.source ? `Source of the rule: ${f.source}. ` : ""}{f.passIds.length ? `Passes ${f.passIds.join(", ")}.` : ""}</p></details>
        </li>))}</ol>
      {d.abstentions.length ? <><h3>Could not be judged</h3>
        <ul class="facts">{d.abstentions.map((a) => (
          <li><b>{plain(a.question)}</b>: {plain(a.why, 400)}{a.pass ? <> Settled by <code>--pass {plain(a.pass)}</code>{a.costS ? ` (about ${a.costS.toFixed(1)} s of the GPU)` : ""}.</> : null}</li>))}</ul></> : null}
      <Notes notes={d.basis?.notes ?? []} />
    </section>
  );
}
