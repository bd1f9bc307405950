// Adds jobs one after another to a running Graphile Worker and measures from before addJob to the
// first line of the task, as bench/dispatch.cc does for Sextant.
import { run, makeWorkerUtils } from "graphile-worker";
import pg from "pg";

const [conninfo, count] = [process.argv[2], Number(process.argv[3])];
const options = Object.fromEntries(conninfo.split(" ").map((pair) => pair.split("=")));
const connection = (database) =>
  new pg.Pool({ host: options.host, port: Number(options.port), user: options.user, database });

const admin = connection("postgres");
await admin.query("DROP DATABASE IF EXISTS graphile_bench");
await admin.query("CREATE DATABASE graphile_bench");
const pgPool = connection("graphile_bench");

let started;
const { Logger } = await import("graphile-worker");
const quiet = new Logger(() => () => {});
const runner = await run({
  pgPool, concurrency: 2, noHandleSignals: true, pollInterval: 1000, logger: quiet,
  taskList: { noop: async () => started(process.hrtime.bigint()) },
});
const utils = await makeWorkerUtils({ pgPool, logger: quiet });
const latencies = [];
for (let i = 0; i < count + 20; ++i) {
  const start = new Promise((resolve) => { started = resolve; });
  const begin = process.hrtime.bigint();
  await utils.addJob("noop", { i });
  const at = await start;
  if (i >= 20) latencies.push(Number(at - begin) / 1e6);
  await new Promise((resolve) => setTimeout(resolve, 5));
}
latencies.sort((a, b) => a - b);
console.log(JSON.stringify({ p50_ms: latencies[Math.ceil(latencies.length / 2) - 1] }));
await runner.stop();
await utils.release();
await pgPool.end();
await admin.query("DROP DATABASE graphile_bench");
await admin.end();
