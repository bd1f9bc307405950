// The tabs "Report" and "Exports".
import { useState } from "preact/hooks";
import { call, download, Sextant } from "../api";
import { ExportFormat, ReportFormat } from "../gen/sextant/v1/sextant_pb";
import { plain } from "../format";
import { Busy, Grid, Notes, Problem, useCall } from "../ui";
import type { TabProps } from "./tabs";

export function ReportTab({ jobId, task, kernel, version }: TabProps) {
  const answer = useCall(`${jobId}/${task}/${kernel}/${version}`, (signal) => call(Sextant.method.getReport, { jobId, task, kernel }, signal));
  if (answer.error) return <Problem error={answer.error} />;
  if (!answer.value) return <Busy what="Writing the report" />;
  const report = answer.value;
  return (
    <article class="report">
      <h2>{plain(report.title)}</h2>
      <p class="lead">{plain(report.summary, 2000)}</p>
      <p><button onClick={async () => save(new Blob([report.markdown], { type: "text/markdown" }), `report-${jobId}.md`)}>Save as Markdown</button>{" "}
        <button onClick={async () => save(new Blob([(await call(Sextant.method.getReport, { jobId, task, kernel, format: ReportFormat.HTML })).html], { type: "text/html" }), `report-${jobId}.html`)}>Save as HTML</button></p>
      {report.sections.map((s) => (
        <section><h3>{plain(s.title)}</h3><p>{plain(s.summary, 2000)}</p>
          {s.pictures.map((p) => <figure><img alt={plain(p.caption || p.name)} src={`data:image/svg+xml;base64,${base64(p.svg)}`} /><figcaption class="faint">{plain(p.caption)}</figcaption></figure>)}
          {s.text ? <pre class="log" tabIndex={0}>{s.text}</pre> : null}
          {s.tables.map((t) => <Grid rows={t.rows} caption={t.name || s.title} columns={t.columns.map((c, i) => ({ name: c.name, unit: c.unit, wrap: t.columns.length < 4, cell: (row: (typeof t.rows)[number]) => row.cells[i]?.isNull ? "—" : plain(row.cells[i]?.text ?? "", 300) }))} />)}
          <Notes notes={s.notes} />
          {s.passIds.length ? <p class="faint">From passes {s.passIds.slice(0, 30).join(", ")}{s.passIds.length > 30 ? ", …" : ""}.</p> : null}</section>))}
      {report.sections.length === 0 ? <pre class="log" tabIndex={0}>{report.markdown}</pre> : null}
    </article>
  );
}

function base64(data: Uint8Array): string {
  let text = "";
  for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
  return btoa(text);
}

function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

const kFormats: [ExportFormat, string, string, string][] = [
  [ExportFormat.PERFETTO, "Perfetto", "pftrace", "Native trace: roles as tracks, quantiles as counters, barriers as flows"],
  [ExportFormat.CHROME_JSON, "Chrome JSON", "json", "Trace Event format, for chrome://tracing and others"],
  [ExportFormat.PPROF, "pprof", "pb.gz", "Profile of samples, or of time by region"],
  [ExportFormat.PARQUET, "Parquet", "parquet", "One row an instance, for DuckDB, pandas, Polars"],
  [ExportFormat.CSV, "CSV", "csv", "One row an instance"],
];
const kPerfetto = "https://ui.perfetto.dev";

export function ExportsTab({ jobId, task }: TabProps) {
  const [state, setState] = useState<{ busy?: string; error?: unknown }>({});
  const run = async (what: string, act: () => Promise<void>) => {
    setState({ busy: what });
    try { await act(); setState({}); } catch (error) { setState({ error }); }
  };
  const bytes = (format: ExportFormat) => download(Sextant.method.exportTrace, { job_id: jobId, task, format: ExportFormat[format] });
  return (
    <section>
      <p><button class="main" onClick={() => {
        // The window must open in the click; the trace follows when that page says it is ready.
        const target = open(kPerfetto);
        void run("Perfetto", async () => {
          if (!target) throw new Error("The browser kept the new window shut: allow it, or save the trace and open it there.");
          await handOver(target, await (await bytes(ExportFormat.PERFETTO)).arrayBuffer(), `Sextant job ${jobId}`);
        });
      }}>Open in Perfetto's UI</button> <span class="faint">The trace goes from this page to that one inside your browser; nothing is uploaded.</span></p>
      <ul class="files">{kFormats.map(([format, name, extension, what]) => (
        <li><button disabled={!!state.busy} onClick={() => run(name, async () => save(await bytes(format), `job-${jobId}.${extension}`))}>Save {name}</button> <span class="faint">{what}</span></li>))}</ul>
      {state.busy ? <Busy what={`Preparing ${state.busy}`} /> : null}
      {state.error ? <Problem error={state.error} /> : null}
    </section>
  );
}

// Perfetto's documented hand-over: ping until it answers PONG, then post the buffer.
async function handOver(target: Window, buffer: ArrayBuffer, title: string): Promise<void> {
  await new Promise<void>((done, fail) => {
    const timer = setInterval(() => target.postMessage("PING", kPerfetto), 100);
    const stop = setTimeout(() => { finish(); fail(new Error("Perfetto's UI did not answer within 60 s.")); }, 60_000);
    const heard = (e: MessageEvent) => { if (e.source === target && e.data === "PONG") { finish(); done(); } };
    const finish = () => { clearInterval(timer); clearTimeout(stop); removeEventListener("message", heard); };
    addEventListener("message", heard);
  });
  target.postMessage({ perfetto: { buffer, title } }, kPerfetto);
}
