// The page in a real browser against a real service. SEXTANT_BUILD: the build folder; CHROMIUM: the
// browser; SEXTANT_SHOTS: a folder to keep pictures in.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { chromium } from "playwright-core";

const { SEXTANT_BUILD: build, SEXTANT_SHOTS: shots } = process.env;
const program = join(build, "examples/async_pipeline/async_pipeline");
const recordings = fileURLToPath(new URL("../../../tests/recordings", import.meta.url));
const chrome = process.env.CHROMIUM ?? "/usr/bin/chromium";
const run = promisify(execFile);
let home, url, browser;
const jobs = {};

const sextant = async (...args) => (await run(join(build, "client/cli/sextant"), args, { env: { ...process.env, SEXTANT_HOME: home }, maxBuffer: 1 << 26 })).stdout;

before(async () => {
  home = await mkdtemp(join(tmpdir(), "sextant-web-"));
  await chmod(home, 0o755);   // PostgreSQL runs as another user when we are root
  url = JSON.parse(await sextant("up", "--format", "json")).addresses.web;
  for (const [name, ...args] of [
    ["host", "--pass", "host*3", "--", program],
    ["host2", "--fresh", "--pass", "host*3", "--", program],
    ["gemm", "--pass", `replay:${join(recordings, "h200/gemm_ws")}`],
  ]) {
    await sextant("run", "--name", name, ...args);
    jobs[name] = JSON.parse(await sextant("jobs", "--limit", "1", "--format", "json")).job_id;
  }
  browser = await chromium.launch({ executablePath: chrome, args: ["--no-sandbox"] });
});

after(async () => {
  await browser?.close();
  if (home) { await sextant("down").catch(() => {}); await rm(home, { recursive: true, force: true }); }
});

// Opens a page, waits until nothing is busy; fails the test on anything the console says.
async function visit(t, hash, { width = 1280, scheme = "light" } = {}) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme });
  t.after(() => context.close());
  context.setDefaultTimeout(8_000);
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
  if (shots) await page.screenshot({ path: join(shots, `${t.name.replace(/\W+/g, "-").slice(0, 60)}.png`) });
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
  await page.getByRole("button", { name: /profile, done, 3 of 3 passes/ }).waitFor();
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
  context.setDefaultTimeout(8_000);
  const page = await context.newPage();
  await page.goto(`${url}#/job/999999`);
  await page.locator(".notice").waitFor();
  assert.match(await page.locator(".notice").innerText(), /999999/);
  await page.goto(`${url}#/job/abc`);
  await page.getByText(/"abc" is not the number of a job/).waitFor();
});

test("every control has a name, every table a caption, one h1 a page", async (t) => {
  const page = await visit(t, `#/job/${jobs.gemm}/timeline`);
  const faults = await page.evaluate(() => [
    ...[...document.querySelectorAll("button,a,input,select,canvas")].filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML.slice(0, 80)),
    ...[...document.querySelectorAll("main table")].filter((e) => !e.caption && !e.closest(".tip")).map(() => "a table without a caption"),
    ...(document.querySelectorAll("h1").length === 1 ? [] : ["not one h1"]),
  ]);
  assert.deepEqual(faults, []);
});
