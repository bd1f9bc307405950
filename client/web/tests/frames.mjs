// Moves over a job's rollups as a user does and measures frames: node frames.mjs URL JOB. Prints a table; the
// last line is JSON. CHROMIUM: the browser. Started by bench/run web-frames.
import { cpus } from "node:os";
import { chromium } from "playwright-core";

const [url, job] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
const quantile = (values, q) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))];

const opened = Date.now();
await page.goto(`${url}#/job/${job}/timeline`);
await page.getByRole("button", { name: "Over time" }).click({ timeout: 60_000 });
await page.getByRole("application", { name: /over time/ }).waitFor({ timeout: 60_000 });
const opened_ms = Date.now() - opened;

// Each gesture for some frames: the time of every frame, and when the part's own buckets came.
const gestures = await page.evaluate(async () => {
  const canvas = document.querySelector(".timeline canvas");
  const box = canvas.getBoundingClientRect();
  const frame = () => new Promise(requestAnimationFrame);
  const wheel = (by, x) => canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: by, ctrlKey: true, clientX: x, clientY: box.top + 60, bubbles: true, cancelable: true }));
  const drag = (type, x) => canvas.dispatchEvent(new PointerEvent(type, { pointerId: 1, clientX: x, clientY: box.top + 60, bubbles: true }));
  canvas.setPointerCapture = () => {};   // of a pointer that is none
  const measure = async (name, frames, act) => {
    await frame();
    const times = [];
    let before = performance.now();
    for (let i = 0; i < frames; ++i) {
      act(i, frames);
      await frame();
      const now = performance.now();
      times.push(now - before);
      before = now;
    }
    const shown = canvas.dataset.slice;
    const from = performance.now();
    while (canvas.dataset.slice === shown && performance.now() - from < 5000) await frame();
    return { name, times, fresh_ms: performance.now() - from };
  };
  const middle = box.left + box.width * 0.6;
  const found = [];
  for (let round = 0; round < 3; ++round) {
    found.push(await measure("zoom in", 90, () => wheel(-40, middle)));
    found.push(await measure("pan", 120, (i, n) => { if (i === 0) drag("pointerdown", middle); drag("pointermove", middle + 3 * (i % 60 < 30 ? i % 30 : 30 - i % 30)); if (i === n - 1) drag("pointerup", middle); }));
    found.push(await measure("zoom out", 90, () => wheel(40, middle)));
  }
  return found;
});
await browser.close();

const times = gestures.flatMap((g) => g.times);
const line = (name, list, fresh) => console.log(`${name.padEnd(10)} ${(1000 * list.length / list.reduce((a, b) => a + b, 0)).toFixed(1).padStart(8)} ${quantile(list, 0.5).toFixed(1).padStart(8)} ${quantile(list, 0.95).toFixed(1).padStart(8)} ${Math.max(...list).toFixed(1).padStart(8)} ${quantile(fresh, 0.95).toFixed(0).padStart(10)}`);
console.log(`opened in ${opened_ms} ms`);
console.log("gesture    frames/s   p50 ms   p95 ms   max ms   fresh ms");
for (const name of new Set(gestures.map((g) => g.name))) {
  const of = gestures.filter((g) => g.name === name);
  line(name, of.flatMap((g) => g.times), of.map((g) => g.fresh_ms));
}
line("all", times, gestures.map((g) => g.fresh_ms));
console.log(JSON.stringify({ bench: "web_frames", machine: { cpu: cpus()[0]?.model, cores: cpus().length }, figures: {
  frames_per_s: 1000 * times.length / times.reduce((a, b) => a + b, 0), frame_ms_p95: quantile(times, 0.95), frame_ms_max: Math.max(...times),
  fresh_ms_p95: quantile(gestures.map((g) => g.fresh_ms), 0.95), opened_ms } }));
