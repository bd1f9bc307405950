// The passes of a job: how each went, where it ran, its logs and files.
import { useState } from "preact/hooks";
import { call, download, hex, Sextant } from "../api";
import { Source, Verdict, type Artifact, type PassInfo } from "../gen/sextant/v1/types_pb";
import { bytes, count, plain, significant, took, when } from "../format";
import { Busy, Grid, Notes, Problem, StateBadge, useCall } from "../ui";

export function kindOf(pass: PassInfo): string {
  const spec = pass.result?.replayed ?? pass.spec;
  const options = Object.entries(spec?.options ?? {}).sort().map(([k, v]) => `${k}=${v}`).join(",");
  return `${pass.result?.replayed ? "replay of " : ""}${spec?.backend ?? "?"}${options ? `:${options}` : ""}`;
}

function outcome(pass: PassInfo): string {
  if (pass.result?.failure) return pass.result.failure.message;
  if (pass.source === Source.CACHED) return `from the cache: pass ${pass.sourcePassId}`;
  if (pass.source === Source.MERGED) return `merged with pass ${pass.sourcePassId}`;
  const exit = pass.result?.exit;
  if (!exit) return pass.phase;
  return exit.verdict === Verdict.EXITED ? `exit ${exit.exitCode}` : exit.detail || Verdict[exit.verdict] || "";
}

export function Passes({ jobId, task, version }: { jobId: bigint; task: string; version: number }) {
  const [open, setOpen] = useState<bigint>();
  const list = useCall(`${jobId}/${task}/${version}`, (signal) => call(Sextant.method.listPasses, { jobId, task, pageSize: 500 }, signal));
  if (list.error) return <Problem error={list.error} />;
  if (!list.value) return <Busy what="Reading passes" />;
  const passes = list.value.passes;
  const chosen = passes.find((pass) => pass.passId === open);
  return (
    <>
      <Grid rows={passes} caption="Passes" id={(p) => String(p.passId)} columns={[
        { name: "pass", number: true, cell: (p) => <button class="plain" aria-expanded={open === p.passId} onClick={() => setOpen(open === p.passId ? undefined : p.passId)}>{String(p.passId)}</button> },
        { name: "what", cell: (p) => plain(kindOf(p)) },
        { name: "state", cell: (p) => <StateBadge state={p.state} /> },
        { name: "outcome", wrap: true, cell: (p) => plain(outcome(p), 90) },
        { name: "worker", cell: (p) => plain(p.worker, 40) },
        { name: "took", number: true, cell: (p) => took(p.startedUnixNs, p.finishedUnixNs) },
      ]} />
      {list.value.more ? <p class="faint">The first 500 passes.</p> : null}
      {chosen ? <PassDetails pass={chosen} /> : null}
    </>
  );
}

function PassDetails({ pass }: { pass: PassInfo }) {
  const result = pass.result;
  const [log, setLog] = useState<{ name: string; text?: string; error?: unknown }>();
  const show = async (artifact: Artifact) => {
    setLog({ name: artifact.name });
    try {
      const text = await (await download(Sextant.method.getBlob, { digest: hex(artifact.digest), length: 262144n })).text();
      setLog({ name: artifact.name, text });
    } catch (error) { setLog({ name: artifact.name, error }); }
  };
  const save = async (artifact: Artifact) => {
    const url = URL.createObjectURL(await download(Sextant.method.getBlob, { digest: hex(artifact.digest) }));
    const a = Object.assign(document.createElement("a"), { href: url, download: artifact.name.replace(/[^\w.-]+/g, "_") });
    a.click();
    URL.revokeObjectURL(url);
  };
  const p = result?.provenance;
  const facts: [string, string][] = p ? [
    ["device", p.device || p.cpuModel], ["machine class", p.machineClass], ["worker", p.worker], ["sandbox", p.sandbox],
    ["started", when(p.startedUnixNs)], ["tool", p.toolDigest.slice(0, 12)],
    ...Object.entries(p.extra).sort(([a], [b]) => a.localeCompare(b)),
  ] : [];
  return (
    <article class="card">
      <h3>Pass {String(pass.passId)} <span class="faint">{plain(kindOf(pass))}, of {plain(pass.task)}</span></h3>
      {result?.failure ? <div class="notice bad"><p>{plain(result.failure.message, 2000)}</p><p class="faint">{plain(result.failure.remedy, 500)}</p></div> : null}
      {result?.exit ? <p>{plain(result.exit.detail || `exit ${result.exit.exitCode}`, 500)}; {significant(result.exit.wallS)} s wall, {significant(result.exit.cpuS)} s CPU, {bytes(result.exit.peakMemoryBytes)} at most</p> : null}
      <Notes notes={(result?.notes ?? []).map((n) => plain(n, 1000))} />
      <h4>Files</h4>
      <ul class="files">{(result?.artifacts ?? []).map((a) => (
        <li>{plain(a.name, 120)} <span class="faint">{a.kind}, {bytes(a.sizeBytes)}</span>
          {a.kind === "log" ? <button onClick={() => show(a)}>read</button> : null}<button onClick={() => save(a)}>save</button></li>
      ))}</ul>
      {log ? log.error ? <Problem error={log.error} /> : log.text === undefined ? <Busy what={`Reading ${log.name}`} /> :
        <><h4>{plain(log.name)}</h4><pre class="log" tabIndex={0}>{log.text ? plain2(log.text) : "(empty)"}</pre></> : null}
      {result?.counters.length ? <details><summary>{count(result.counters.length)} counters</summary>
        <Grid rows={result.counters.slice(0, 400)} caption="Counters of the pass" columns={[
          { name: "counter", cell: (c) => plain(c.name) }, { name: "of", cell: (c) => plain(c.kernel || c.region) },
          { name: "value", number: true, cell: (c) => significant(c.value, 5) }, { name: "unit", cell: (c) => c.unit }]} /></details> : null}
      <details><summary>Provenance</summary><dl class="pairs">{facts.map(([k, v]) => <><dt>{plain(k)}</dt><dd>{plain(v)}</dd></>)}</dl></details>
    </article>
  );
}

const plain2 = (text: string) => text.split("\n").map((line) => plain(line.replace(/\t/g, "    "), 2000)).join("\n");
