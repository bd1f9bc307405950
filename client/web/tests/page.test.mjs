// The page in a real browser against a real service. SEXTANT_BUILD: the build folder; CHROMIUM: the
// browser. With SEXTANT_PICTURES=docs/pictures the pictures of the documentation are taken again.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { chromium } from "playwright-core";

const { SEXTANT_BUILD: build, SEXTANT_PICTURES: pictures } = process.env;
const root = fileURLToPath(new URL("../../..", import.meta.url));
const axe = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");
const program = join(build, "examples/async_pipeline/async_pipeline");
const recordings = fileURLToPath(new URL("../../../tests/recordings", import.meta.url));
const chrome = process.env.CHROMIUM ?? "/usr/bin/chromium";
const run = promisify(execFile);
let home, url, browser;
const jobs = {};
const kPatience_ms = 60_000;   // longest wait for something that must happen; never a measure of speed

const sextant = async (...args) => (await run(join(build, "client/cli/sextant"), args, { env: { ...process.env, SEXTANT_HOME: home }, maxBuffer: 1 << 26 })).stdout;

before(async () => {
  home = await mkdtemp(join(tmpdir(), "sextant-web-"));
  await chmod(home, 0o755);   // PostgreSQL runs as another user when we are root
  url = JSON.parse(await sextant("up", "--format", "json")).addresses.web;
  for (const [name, ...args] of [
    ["host", "--pass", "host*3", "--", program],
    ["host2", "--fresh", "--pass", "host*3", "--", program],
    ["gemm", "--file", join(root, "examples/gemm_ws/gemm_ws.cu"), "--pass", `replay:${join(recordings, "h200/gemm_ws")}`],
    ["matmul", "--file", join(root, "examples/triton_matmul/kernel.py"), "--pass", `replay:${join(recordings, "h200/triton_matmul")}`],
  ]) {
    await sextant("run", "--name", name, ...args);
    jobs[name] = JSON.parse(await sextant("jobs", "--limit", "1", "--format", "json")).job_id;
  }
  // A graph with a nested job that waits for somebody.
  const pipeline = { argv: ["./async_pipeline", "--items", "6"], files: [{ path: "async_pipeline", mode: 0o755 }] };
  const host = { workload: pipeline, passes: [{ backend: "host", repeat: 4 }] };
  await writeFile(join(home, "graph.json"), JSON.stringify({ name: "tune the pipeline", tasks: [
    { name: "build", build: { workload: { argv: ["sh", "-c", "echo 4 > items"] } }, outputs: [{ name: "items", path: "items" }] },
    { name: "measure", group: {}, after: ["build"] },
    { name: "small", parent: "measure", profile: host },
    { name: "large", parent: "measure", profile: { ...host, workload: { ...pipeline, argv: ["./async_pipeline", "--items", "12"] } } },
    { name: "report", analyze: { builtin: "report", of_task: "measure/large" } },
    { name: "decide", external: { instructions: "Which is better?" }, after: ["report", "measure"] },
    { name: "verify", verify: { workload: { argv: ["true"] } }, after: ["decide"] },
  ] }));
  jobs.graph = JSON.parse(await sextant("submit", join(home, "graph.json"), "--file", `${build}/examples/async_pipeline/async_pipeline:async_pipeline`, "--format", "json")).job_id;
  browser = await chromium.launch({ executablePath: chrome, args: ["--no-sandbox"] });
});

after(async () => {
  await browser?.close();
  if (home) { await sextant("down").catch(() => {}); await rm(home, { recursive: true, force: true }); }
});

// Opens a page, waits until nothing is busy; fails the test on anything the console says.
async function visit(t, hash, { width = 1280, height = 900, scheme = "light" } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, acceptDownloads: true });
  t.after(() => context.close());
  context.setDefaultTimeout(kPatience_ms);
  const page = await context.newPage();
  const said = [];
  page.on("console", (m) => { if (["error", "warning"].includes(m.type()) && !/Multiple readback/.test(m.text())) said.push(`${m.text()} ${m.location().url}`); });
  page.on("pageerror", (e) => said.push(String(e)));
  t.after(() => assert.deepEqual(said, [], "the console is quiet"));
  await page.goto(`${url}${hash}`);
  await page.locator("main h1, main h2, main h3, main .notice").first().waitFor();
  await page.waitForFunction(() => !document.querySelector(".busy"));
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(over <= 0, `the page does not scroll sideways at ${width} px (by ${over})`);
  return page;
}

const painted = (page) => page.locator(".timeline canvas").first().evaluate(async (c) => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
  const seen = new Set();
  for (let i = 0; i < data.length; i += 4) seen.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
  return { colors: seen.size, sum: data.reduce((a, b) => (a * 31 + b) >>> 0, 7) };
});

test("the list of jobs shows every job with its state, and leads to it", async (t) => {
  const page = await visit(t, "#/");
  for (const name of ["host", "host2", "gemm"]) await page.getByRole("link", { name, exact: true }).waitFor();
  await page.getByRole("searchbox").fill("gemm");
  assert.equal(await page.locator("tbody tr").count(), 1);
  await page.getByRole("link", { name: "gemm", exact: true }).click();
  await page.getByRole("heading", { name: /gemm/ }).waitFor();
});

test("a job shows its graph, its passes, and a pass its log and provenance", async (t) => {
  const page = await visit(t, `#/job/${jobs.host}`);
  await page.getByRole("button", { name: /^profile profile · 3\/3 passes · done/ }).waitFor();
  const rows = page.getByRole("region", { name: "Passes" }).locator("tbody tr");
  assert.equal(await rows.count(), 3);
  await rows.first().getByRole("button").click();
  await page.getByRole("button", { name: "read" }).first().click();
  await page.locator("pre.log").waitFor();
  await page.getByText("Provenance").click();
  await page.getByText("machine class").waitFor();
});

test("the statistical timeline is drawn, moves with the keyboard and reads out instances", async (t) => {
  const page = await visit(t, `#/job/${jobs.gemm}/timeline`);
  const canvas = page.locator(".timeline canvas").first();
  const all = await painted(page);
  assert.ok(all.colors > 6, `several regions are drawn (${all.colors} colours)`);
  await canvas.focus();
  await page.keyboard.press("+");
  await page.keyboard.press("+");
  const near = await painted(page);
  assert.notEqual(near.sum, all.sum, "zooming changes the picture");
  await page.keyboard.press("0");
  assert.equal((await painted(page)).sum, all.sum, "zero shows all again");
  await page.keyboard.press("n");
  await page.locator(".tip").waitFor();
  assert.match(await page.locator(".timeline [aria-live]").innerText(), /takes .*seen in \d+ passes/);
});

test("hovering a bar shows its quantiles", async (t) => {
  const page = await visit(t, `#/job/${jobs.host}/timeline`);
  const box = await page.locator(".timeline canvas").first().boundingBox();
  let shown = 0;
  for (let x = 0.2; x < 0.9 && !shown; x += 0.02) {
    await page.mouse.move(box.x + box.width * x, box.y + 48);
    shown = await page.locator(".tip").count();
  }
  assert.equal(shown, 1);
  assert.match(await page.locator(".tip").innerText(), /P20[\s\S]*P50[\s\S]*P80[\s\S]*duration/);
});

test("the timeline has a table twin and a view over time from the rollups", async (t) => {
  const page = await visit(t, `#/job/${jobs.host}/timeline`);
  await page.getByRole("button", { name: "Table" }).click();
  assert.ok(await page.getByRole("region", { name: "Region instances" }).locator("tbody tr").count() > 20);
  await page.getByRole("button", { name: "Over time" }).click();
  await page.getByRole("application", { name: /over time/ }).waitFor();
  assert.ok((await painted(page)).colors > 4);
});

test("loops fold to one typical iteration", async (t) => {
  const page = await visit(t, `#/job/${jobs.gemm}/timeline`);
  await page.getByRole("button", { name: "Loops folded" }).click();
  await page.getByRole("img", { name: /typical iteration/ }).first().waitFor();
});

test("panning and zooming keep up with the display", async (t) => {
  const page = await visit(t, `#/job/${jobs.gemm}/timeline`);
  await page.locator(".timeline canvas").first().focus();
  const frames = await page.evaluate(async () => {
    const canvas = document.querySelector(".timeline canvas");
    const times = [];
    for (let i = 0; i < 60; ++i) {
      canvas.dispatchEvent(new KeyboardEvent("keydown", { key: i % 2 ? "ArrowRight" : "+", bubbles: true }));
      await new Promise(requestAnimationFrame);
      times.push(performance.now());
    }
    return times;
  });
  assert.equal(frames.length, 60);   // the rate is a figure of the bench, not of a test
});

for (const tab of ["diagnosis", "hotspots", "counters", "report", "exports"])
  test(`the tab ${tab} answers for a GPU job`, async (t) => {
    const page = await visit(t, `#/job/${jobs.gemm}/${tab}`);
    assert.equal(await page.locator(".notice.bad").count(), 0);
    assert.ok((await page.locator("main section, main article").first().innerText()).length > 40);
  });

test("comparing a job with itself run again gives a verdict and both timelines on one axis", async (t) => {
  const page = await visit(t, `#/compare/${jobs.host}/${jobs.host2}`);
  await page.getByText(/faster|slower|no difference|inconclusive/).first().waitFor();
  assert.equal(await page.locator(".timeline canvas").count(), 2);
});

test("the service page shows workers, addresses and limits", async (t) => {
  const page = await visit(t, "#/service");
  await page.getByText("max_tasks_per_job").waitFor();
  await page.getByText(/^http/).first().waitFor();
});

for (const hash of ["#/", "#/job/JOB", "#/job/JOB/timeline", "#/job/JOB/counters", "#/compare/HOST/HOST2", "#/service"])
  test(`${hash} works at 390 px in dark colours`, (t) => visit(t, hash.replace("JOB", jobs.gemm).replace("HOST2", jobs.host2).replace("HOST", jobs.host), { width: 390, scheme: "dark" }).then(() => {}));

test("what is not there is said in words", async (t) => {
  const context = await browser.newContext();
  t.after(() => context.close());
  context.setDefaultTimeout(kPatience_ms);
  const page = await context.newPage();
  await page.goto(`${url}#/job/999999`);
  await page.locator(".notice").waitFor();
  assert.match(await page.locator(".notice").innerText(), /999999/);
  await page.goto(`${url}#/job/abc`);
  await page.getByText(/"abc" is not the number of a job/).waitFor();
});

test("a job's graph shows nested jobs, what waits for whom, and moves while it runs", async (t) => {
  const page = await visit(t, `#/job/${jobs.graph}`);
  await page.getByRole("button", { name: /^large profile · 4\/4 passes · done, of measure/ }).waitFor();
  await page.getByRole("button", { name: /^decide external · running/ }).waitFor();
  await sextant("complete-task", String(jobs.graph), "decide", "--message", "the small one");
  await page.getByRole("button", { name: /^verify verify · 1\/1 passes · done/ }).waitFor();   // without a reload
});

test("source and SASS stand side by side, and a line shows its instructions", async (t) => {
  const page = await visit(t, `#/job/${jobs.matmul}/hotspots`);
  const source = page.getByRole("region", { name: "Source kernel.py" });
  await source.getByText("total = tl.dot(a, b, total)").waitFor();
  const sass = page.getByRole("region", { name: "Instructions" }).locator("tbody tr");
  const all = await sass.count();
  await source.getByRole("button", { name: /^Line 30,/ }).click();
  await page.getByRole("heading", { name: "SASS of kernel.py:30" }).waitFor();
  await sass.nth(all - 1).waitFor({ state: "detached" });   // the instructions of the line alone
  assert.ok((await sass.allInnerTexts()).some((text) => /HGMMA/.test(text)));
});

test("the critical path is outlined, and says how much of it", async (t) => {
  const page = await visit(t, `#/job/${jobs.gemm}/timeline`);
  const before = await painted(page);
  await page.getByLabel("critical path").check();
  await page.getByText(/Critical path: .*(All its steps|Outlined are its first)/).waitFor();
  assert.notEqual((await painted(page)).sum, before.sum, "the path is drawn");
});

test("files and exports are downloaded", async (t) => {
  const page = await visit(t, `#/job/${jobs.gemm}/exports`);
  for (const [button, name] of [["Save Perfetto", /\.pftrace$/], ["Save CSV", /\.csv$/]]) {
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: button }).click()]);
    assert.match(file.suggestedFilename(), name);
    assert.ok(readFileSync(await file.path()).length > 10_000, button);
  }
  const opened = page.waitForEvent("popup");
  await page.getByRole("button", { name: "Open in Perfetto's UI" }).click();
  assert.match((await opened).url() || "https://ui.perfetto.dev", /^(https:\/\/ui\.perfetto\.dev|about:blank|chrome-error:)/);   // this machine may have no network
});

test("a keyboard alone leads from the list to a job's timeline", async (t) => {
  const page = await visit(t, "#/");
  const press = async (wanted) => {
    for (let i = 0; i < 60; ++i) {
      await page.keyboard.press("Tab");
      if (await page.evaluate((text) => document.activeElement?.textContent?.trim() === text, wanted)) return;
    }
    assert.fail(`Tab never reaches ${wanted}`);
  };
  await press("gemm");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: /gemm/ }).waitFor();
  await press("Timeline");
  await page.keyboard.press("Enter");
  await page.locator(".timeline canvas").first().waitFor();
});

for (const scheme of ["light", "dark"])
  for (const hash of ["#/", "#/job/GRAPH", "#/job/GEMM", "#/job/GEMM/timeline", "#/job/GEMM/diagnosis", "#/job/MATMUL/hotspots", "#/job/GEMM/counters", "#/job/GEMM/report", "#/job/GEMM/exports", "#/compare/HOST/HOST2", "#/service"])
    test(`axe finds nothing wrong with ${hash} in ${scheme} colours`, async (t) => {
      const page = await visit(t, hash.replace("GRAPH", jobs.graph).replace("GEMM", jobs.gemm).replace("MATMUL", jobs.matmul).replace("HOST2", jobs.host2).replace("HOST", jobs.host), { scheme });
      await page.evaluate(axe);
      const faults = await page.evaluate(async () => (await globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] })).violations
        .map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 120)).join(" | ")}`));
      assert.deepEqual(faults, []);
    });

if (pictures) {
  const take = (name, hash, options, before) => test(`picture ${name}`, async (t) => {
    const page = await visit(t, hash(), options);
    await before?.(page);
    await page.waitForFunction(() => !document.querySelector(".busy"));
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    await page.screenshot({ path: join(pictures, `${name}.png`), clip: options?.clip });
  });
  take("jobs", () => "#/", { height: 420 });
  take("graph", () => `#/job/${jobs.graph}`, { height: 620 });
  take("timeline", () => `#/job/${jobs.gemm}/timeline`, { height: 560 }, async (page) => { await page.getByLabel("critical path").check(); await page.getByText(/Critical path: /).waitFor(); });
  take("hotspots", () => `#/job/${jobs.matmul}/hotspots`, { height: 760 });
  take("roofline", () => `#/job/${jobs.matmul}/counters`, { height: 900 });
  take("compare", () => `#/compare/${jobs.host}/${jobs.host2}`, { height: 1100 });
  take("report", () => `#/job/${jobs.gemm}/report`, { height: 1000, scheme: "dark" });
  take("mobile", () => `#/job/${jobs.gemm}/timeline`, { width: 390, height: 844 });
}

test("every control has a name, every table a caption, one h1 a page", async (t) => {
  const page = await visit(t, `#/job/${jobs.gemm}/timeline`);
  const faults = await page.evaluate(() => [
    ...[...document.querySelectorAll("button,a,input,select,canvas")].filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML.slice(0, 80)),
    ...[...document.querySelectorAll("main table")].filter((e) => !e.caption && !e.closest(".tip")).map(() => "a table without a caption"),
    ...(document.querySelectorAll("h1").length === 1 ? [] : ["not one h1"]),
  ]);
  assert.deepEqual(faults, []);
});
