// The service: its workers, what they can do, its addresses and limits.
import { call, Sextant } from "../api";
import { LimitsOf } from "./limits";
import { count, plain } from "../format";
import { Busy, Grid, Problem, useCall } from "../ui";

export function Service() {
  const answer = useCall("service", (signal) => call(Sextant.method.describeService, {}, signal));
  if (answer.error) return <Problem error={answer.error} />;
  if (!answer.value) return <Busy what="Asking the service" />;
  const s = answer.value;
  return (
    <>
      <h1>Service</h1>
      <p class="lead">Sextant {s.version}, on {plain(s.database, 200)}: {count(s.readyPasses)} passes ready, {count(s.runningPasses)} running.</p>
      <h2>Workers</h2>
      <Grid rows={s.workers} caption="Workers" columns={[
        { name: "worker", cell: (w) => plain(w.info?.name ?? "") },
        { name: "state", cell: (w) => w.quarantine ? <span class="badge failed" title={w.quarantine}>quarantined</span> : w.live ? <span class="badge done">live</span> : <span class="badge cancelled">gone</span> },
        { name: "devices", cell: (w) => (w.info?.devices ?? []).map((d) => plain(d.properties.model || d.name, 60)).join(", ") || "none" },
        { name: "running", number: true, cell: (w) => w.running },
        { name: "backends", wrap: true, cell: (w) => <details><summary>{(w.info?.backends ?? []).filter((b) => b.available).length} of {w.info?.backends.length}</summary><ul>{(w.info?.backends ?? []).map((b) => <li><b>{plain(b.name)}</b> {b.available ? "" : plain(b.reason, 300)}</li>)}</ul></details> },
      ]} />
      <h2>Addresses</h2>
      <dl class="pairs">{Object.entries(s.addresses).sort().map(([k, v]) => <><dt>{plain(k)}</dt><dd><code>{plain(v)}</code></dd></>)}</dl>
      <h2>Limits</h2>
      {s.limits ? <LimitsOf limits={s.limits} /> : null}
    </>
  );
}
