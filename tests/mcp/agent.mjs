// An agent's whole loop through the official TypeScript SDKs: submit, wait, diagnose, take the next pass, compare.
//   node agent.mjs v1|v2 legacy|auto|2026-07-28 URL|- [COMMAND ARGUMENT…]   ("-": over stdio)
// Prints one line of JSON: what was seen, for the test to judge.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import path from 'node:path';

// Modules are found where they were installed.
const load = async name => {
  const root = path.join(process.env.MCP_MODULES, 'node_modules');
  const [, scope, base, sub] = name.match(/^(@[^/]+)\/([^/]+)(?:\/(.*))?$/);
  const manifest = JSON.parse(readFileSync(path.join(root, scope, base, 'package.json'), 'utf8'));
  let entry = manifest.exports[sub ? `./${sub}` : '.'];
  if (!entry) {   // "./*"
    entry = JSON.parse(JSON.stringify(manifest.exports['./*']).replaceAll('*', sub));
  }
  while (typeof entry === 'object') entry = entry.import ?? entry.node ?? entry.default;
  return import(pathToFileURL(path.join(root, scope, base, entry)).href);
};

const [generation, mode, url, command, ...args] = process.argv.slice(2);
const { Client, StreamableHTTPClientTransport, StdioClientTransport } = generation === 'v1'
  ? { ...(await load('@modelcontextprotocol/sdk/client/index.js')),
      ...(await load('@modelcontextprotocol/sdk/client/streamableHttp.js')),
      ...(await load('@modelcontextprotocol/sdk/client/stdio.js')) }
  : { ...(await load('@modelcontextprotocol/client')), ...(await load('@modelcontextprotocol/client/stdio')) };

const transport = url === '-'
  ? new StdioClientTransport({ command, args, env: { ...process.env }, stderr: 'inherit' })
  : new StreamableHTTPClientTransport(new URL(url));
const versionNegotiation = { mode: /^\d/.test(mode) ? { pin: mode } : mode };
const client = new Client({ name: 'test', version: '1' }, generation === 'v2' ? { versionNegotiation } : {});
await client.connect(transport);

const longest = {};
const call = async (name, input) => {
  const result = await client.callTool({ name, arguments: input });
  const text = result.content.find(c => c.type === 'text').text;
  if (text.length > (longest[name] ?? '').length) longest[name] = text;
  return { failed: result.isError === true, answer: result.structuredContent, text: JSON.parse(text), content: result.content };
};

const tools = (await client.listTools()).tools;
const resources = (await client.listResources()).resources.map(r => r.uri);
const guide = (await client.readResource({ uri: 'sextant://guide' })).contents[0].text;
const schema = (await client.readResource({ uri: 'sextant://schema' })).contents[0].text;
const service = await call('describe_service', {});
const program = JSON.parse(readFileSync(process.env.MCP_PROGRAM, 'utf8'));   // arguments of submit_job
const finish = async input => {
  const submitted = await call('submit_job', input);
  let job;
  do job = await call('get_job', { job_id: submitted.answer.job_id, wait_s: 20 });
  while (!['done', 'failed', 'cancelled'].includes(job.answer.state));
  return job.answer;
};
const run = extra => finish({ ...program, ...extra });
const salt = `${generation}-${mode}-${url === '-' ? 'stdio' : 'http'}-${process.pid}`;
const first = await run({ request_id: `${salt}-a`, fresh: true });
const again = await call('submit_job', { ...program, request_id: `${salt}-a`, fresh: true });
const second = await run({ request_id: `${salt}-b`, fresh: true });
const events = await call('get_job', { job_id: first.job_id, after: '' });
const later = await call('get_job', { job_id: first.job_id, after: events.answer.cursor, wait_s: 0 });
const diagnosis = await call('explain_bottleneck', { job_id: first.job_id });
const next = await call('next_pass', { job_id: first.job_id });
const { passes: _, ...bare } = program;
const plan = await call('submit_job', { ...bare, preset: 'quick', plan_only: true });
const timeline = await call('region_timeline', { job_id: first.job_id });
const compared = await call('compare_jobs', { job_a: first.job_id, job_b: second.job_id });
const rows = await call('query', { sql: `SELECT state FROM jobs WHERE job_id = ${first.job_id}` });
const artifact = await call('get_artifact', { job_id: first.job_id, name: 'stdout' });
// The same with what an H200 left: passes that the diagnosis asks for are added, and the jobs compared.
const recorded = JSON.parse(readFileSync(process.env.MCP_RECORDED, 'utf8'));   // { first: arguments, more: { backend: file } }
const loop = { before: await finish(recorded.first) };
loop.diagnosis = await call('explain_bottleneck', { job_id: loop.before.job_id });
loop.next = await call('next_pass', { job_id: loop.before.job_id });
const wanted = [...new Set(loop.next.answer.passes.map(p => p.pass.split(':')[0]))].filter(name => name in recorded.more);
const files = wanted.map(name => recorded.more[name]);
loop.after = await finish({ ...recorded.first, files: [...recorded.first.files, ...files],
  passes: [...recorded.first.passes, ...files.map(file => `replay:${file.path}`)] });
loop.again = await call('explain_bottleneck', { job_id: loop.after.job_id });
loop.hotspots = await call('hotspots', { job_id: loop.after.job_id });
loop.compared = await call('compare_jobs', { job_a: loop.before.job_id, job_b: loop.after.job_id });
const missing = await call('get_job', { job_id: 999999 });
const wrong = await call('hotspots', { job_id: first.job_id, by: 'colour' });
let unknown = '';
try { await call('no_such_tool', {}); } catch (error) { unknown = String(error.message ?? error); }
await client.close();
const answers = JSON.stringify({ tools, resources, guide, schema, service, first, again, second, events, later, diagnosis,
  next, plan, loop, timeline, compared, rows, artifact, missing, wrong, unknown, longest,
  version: client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? '' });
process.stdout.write(`${answers}\n`, () => process.exit(0));   // a pipe holds less than this: exit when it was read
