// One job: its graph and passes while they run, and the answers in tabs.
import { useEffect, useRef, useState } from "preact/hooks";
import { call, Sextant, watch } from "../api";
import type { Event, JobInfo, TaskInfo } from "../gen/sextant/v1/types_pb";
import { plain, shortKernel, took, when } from "../format";
import { href, type Route } from "../route";
import { Busy, isFinal, Problem, Progress, StateBadge, useCall } from "../ui";
import { DiagnosisTab } from "../job/bottleneck";
import { CountersTab } from "../job/counters";
import { JobGraph } from "../job/graph";
import { HotspotsTab } from "../job/hotspots";
import { Passes } from "../job/passes";
import { ExportsTab, ReportTab } from "../job/report";
import { TimelineTab } from "../job/timeline";

const kTabs = [["", "Overview"], ["timeline", "Timeline"], ["diagnosis", "Diagnosis"], ["hotspots", "Hotspots"], ["counters", "Counters"], ["report", "Report"], ["exports", "Exports"]] as const;
const kRefresh_ms = 400;   // at most this often while events come

interface Snapshot { job: JobInfo; tasks: TaskInfo[] }

async function read(jobId: bigint, signal: AbortSignal): Promise<Snapshot> {
  const tasks: TaskInfo[] = [];
  for (let after = ""; ;) {
    const answer = await call(Sextant.method.getJob, { jobId, withTasks: true, withSpecs: true, tasksAfter: after }, signal);
    tasks.push(...answer.tasks);
    if (!answer.moreTasks || tasks.length >= 2000) return { job: answer.job!, tasks };
    after = answer.tasks[answer.tasks.length - 1]!.path;
  }
}

export function Job({ route }: { route: Route }) {
  let jobId: bigint;
  try { jobId = BigInt(route.parts[1] ?? ""); } catch { return <div class="notice bad" role="alert"><p>"{plain(route.parts[1] ?? "")}" is not the number of a job.</p></div>; }
  return <JobPage key={String(jobId)} jobId={jobId} route={route} />;
}

function JobPage({ jobId, route }: { jobId: bigint; route: Route }) {
  const [snapshot, setSnapshot] = useState<Snapshot>();
  const [error, setError] = useState<unknown>();
  const [events, setEvents] = useState<Event[]>([]);
  const [version, setVersion] = useState(0);
  const doneBefore = useRef(-1);
  useEffect(() => {
    const abort = new AbortController();
    let timer: number | undefined;
    let again = false;
    const refresh = () => {
      if (timer !== undefined) { again = true; return; }
      timer = window.setTimeout(() => { timer = undefined; if (again) { again = false; refresh(); } }, kRefresh_ms);
      read(jobId, abort.signal).then((next) => {
        setSnapshot(next);
        setError(undefined);
        if (next.job.passesDone !== doneBefore.current && (doneBefore.current < 0 || isFinal(next.job.state))) { doneBefore.current = next.job.passesDone; setVersion((v) => v + 1); }
      }, (e) => { if (!abort.signal.aborted) setError(e); });
    };
    refresh();
    watch(jobId, (event) => { setEvents((old) => [...old.slice(-199), event]); refresh(); }, abort.signal)
      .then(refresh, (e) => setError(e));
    return () => { abort.abort(); clearTimeout(timer); };
  }, [jobId]);
  if (error && !snapshot) return <Problem error={error} />;
  if (!snapshot) return <Busy what={`Reading job ${jobId}`} />;
  const { job, tasks } = snapshot;
  const tab = route.parts[2] ?? "";
  const profiles = tasks.filter((task) => task.kind === "profile");
  const task = route.query.get("task") ?? profiles[0]?.path ?? "";
  const kernel = route.query.get("kernel") ?? "";
  const props = { jobId, task, kernel, version };
  const go = (query: Record<string, string>) => { location.hash = href(["job", jobId, ...(tab ? [tab] : [])], { task: profiles.length > 1 ? task : "", kernel, ...query }); };
  return (
    <>
      <header class="title">
        <h1>{plain(job.name || "(no name)", 80)} <span class="faint">job {String(jobId)}</span></h1>
        <StateBadge state={job.state} />
        {!isFinal(job.state) ? <Progress done={job.passesDone} total={job.passes} label="Passes" /> : null}
        <span class="faint" role="status">{job.passesDone} of {job.passes} passes{job.passesRunning ? `, ${job.passesRunning} running` : ""}{job.passesCached ? `, ${job.passesCached} cached` : ""}{job.passesFailed ? `, ${job.passesFailed} failed` : ""} · {took(job.startedUnixNs, job.finishedUnixNs)} · {when(job.createdUnixNs)}</span>
        {!isFinal(job.state) ? <button onClick={() => call(Sextant.method.cancelJob, { jobId, reason: "from the page" }).catch(setError)}>Cancel</button> : null}
      </header>
      {job.failure ? <div class="notice bad"><p>{plain(job.failure.message, 1000)}</p><p class="faint">{plain(job.failure.remedy, 500)}</p></div> : null}
      {error ? <Problem error={error} /> : null}
      <nav class="tabs" aria-label="Job">{kTabs.map(([id, label]) => (
        <a href={href(["job", jobId, ...(id ? [id] : [])], { task: profiles.length > 1 ? task : "", kernel })} aria-current={tab === id ? "page" : undefined}>{label}</a>))}</nav>
      {tab ? <div class="tools">
        {profiles.length > 1 ? <label>Task <select value={task} onChange={(e) => go({ task: e.currentTarget.value, kernel: "" })}>{profiles.map((p) => <option value={p.path}>{plain(p.path, 60)}</option>)}</select></label> : null}
        <Kernels jobId={jobId} task={task} kernel={kernel} version={version} onKernel={(k) => go({ kernel: k })} />
      </div> : null}
      {tab === "" ? <Overview jobId={jobId} tasks={tasks} task={route.query.get("task") ?? ""} version={version + events.length} events={events} /> : null}
      {tab === "timeline" ? <TimelineTab {...props} /> : null}
      {tab === "diagnosis" ? <DiagnosisTab {...props} /> : null}
      {tab === "hotspots" ? <HotspotsTab {...props} /> : null}
      {tab === "counters" ? <CountersTab {...props} /> : null}
      {tab === "report" ? <ReportTab {...props} /> : null}
      {tab === "exports" ? <ExportsTab {...props} /> : null}
    </>
  );
}

function Kernels({ jobId, task, kernel, version, onKernel }: { jobId: bigint; task: string; kernel: string; version: number; onKernel: (kernel: string) => void }) {
  const list = useCall(`${jobId}/${task}/${version}`, (signal) => call(Sextant.method.getHotspots, { subject: { jobId, task }, by: "kernel", top: 50 }, signal));
  const kernels = list.value?.hotspots ?? [];
  if (kernels.length < 2) return null;
  return <label>Kernel <select onChange={(e) => onKernel(e.currentTarget.value)}><option value="" selected={!kernel}>the most telling</option>{kernels.map((k) => <option value={k.name} selected={kernel === k.name || k.name.startsWith(`${kernel}(`)}>{shortKernel(k.name)}</option>)}</select></label>;
}

function Overview({ jobId, tasks, task, version, events }: { jobId: bigint; tasks: TaskInfo[]; task: string; version: number; events: Event[] }) {
  return (
    <>
      <h2>Graph</h2>
      <JobGraph tasks={tasks} selected={task} onSelect={(path) => { location.hash = href(["job", jobId], { task: path === task ? "" : path }); }} />
      <h2>Passes{task ? <span class="faint"> of {plain(task, 60)}</span> : null}</h2>
      <Passes jobId={jobId} task={task} version={version} />
      {events.length ? <details><summary>Events</summary><ol class="events">{events.slice(-60).map((e) => <li><time>{new Date(Number(e.atUnixNs / 1_000_000n)).toLocaleTimeString()}</time> {plain(e.task, 60)} {e.passId ? `pass ${e.passId} ` : ""}{e.what}{e.message ? `: ${plain(e.message, 300)}` : ""}</li>)}</ol></details> : null}
    </>
  );
}
