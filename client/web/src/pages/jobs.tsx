// All jobs, newest first, refreshed while the page is looked at.
import { useEffect, useState } from "preact/hooks";
import { call, Sextant } from "../api";
import type { JobInfo } from "../gen/sextant/v1/types_pb";
import { plain, took, when } from "../format";
import { href } from "../route";
import { Busy, Grid, isFinal, Problem, Progress, StateBadge } from "../ui";

export function Jobs() {
  const [jobs, setJobs] = useState<JobInfo[]>();
  const [more, setMore] = useState(false);
  const [error, setError] = useState<unknown>();
  const [filter, setFilter] = useState("");
  const [tick, setTick] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    call(Sextant.method.listJobs, { pageSize: 50 }, abort.signal).then((answer) => {
      setJobs((old) => [...answer.jobs, ...(old ?? []).filter((job) => answer.jobs.length > 0 && job.jobId < answer.jobs[answer.jobs.length - 1]!.jobId)]);
      setMore((old) => old || answer.more);
      setError(undefined);
    }, (e) => { if (!abort.signal.aborted) setError(e); });
    const timer = setTimeout(() => { if (!document.hidden) setTick(tick + 1); }, 2000);
    const seen = () => { if (!document.hidden) setTick((n) => n + 1); };
    document.addEventListener("visibilitychange", seen);
    return () => { abort.abort(); clearTimeout(timer); document.removeEventListener("visibilitychange", seen); };
  }, [tick]);
  const older = async () => {
    const answer = await call(Sextant.method.listJobs, { pageSize: 50, beforeJobId: jobs![jobs!.length - 1]!.jobId });
    setJobs([...jobs!, ...answer.jobs]);
    setMore(answer.more);
  };
  const wanted = filter.toLowerCase();
  const shown = (jobs ?? []).filter((job) => !wanted || `${job.jobId} ${job.name} ${job.submitter}`.toLowerCase().includes(wanted));
  return (
    <>
      <div class="tools"><h1>Jobs</h1><input type="search" placeholder="Filter by name or number" aria-label="Filter jobs" value={filter} onInput={(e) => setFilter(e.currentTarget.value)} /></div>
      {error ? <Problem error={error} /> : null}
      {!jobs && !error ? <Busy what="Reading jobs" /> : null}
      {jobs && jobs.length === 0 ? <div class="notice"><p>No job yet. Submit one:</p><pre>sextant run --pass 'host*20' -- ./program</pre></div> : null}
      {shown.length ? <Grid rows={shown} caption="Jobs" id={(j) => String(j.jobId)} columns={[
        { name: "job", number: true, cell: (j) => <a href={href(["job", j.jobId])}>{String(j.jobId)}</a> },
        { name: "name", cell: (j) => <a href={href(["job", j.jobId])}>{plain(j.name || "(no name)", 60)}</a> },
        { name: "state", cell: (j) => <StateBadge state={j.state} /> },
        { name: "passes", cell: (j) => <span class="inline">{!isFinal(j.state) ? <Progress done={j.passesDone} total={j.passes} label={`Passes of job ${j.jobId}`} /> : null}{j.passesDone}/{j.passes}{j.passesCached ? <span class="faint"> {j.passesCached} cached</span> : null}{j.passesFailed ? <span class="badge failed">{j.passesFailed} failed</span> : null}</span> },
        { name: "submitter", cell: (j) => plain(j.submitter, 30) },
        { name: "accepted", cell: (j) => when(j.createdUnixNs) },
        { name: "took", number: true, cell: (j) => took(j.startedUnixNs, j.finishedUnixNs) },
      ]} /> : null}
      {more ? <button onClick={older}>Older jobs</button> : null}
    </>
  );
}
