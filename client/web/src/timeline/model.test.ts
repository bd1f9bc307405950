import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { CriticalPathAtSchema } from "../gen/sextant/v1/analysis_pb";
import { TimelineSchema } from "../gen/sextant/v1/sextant_pb";
import { barAt, clampView, firstVisible, makeModel, pathKeys, ticks, zoom } from "./model";

const instance = (region: string, ordinal: number, start: number, end: number, depth = 0, spread = 0) => ({
  region, ordinal: BigInt(ordinal), depth,
  startNs: [start - spread, start, start + spread], endNs: [end - spread, end, end + spread],
  durationNs: [end - start, end - start, end - start],
});

const timeline = (lanes: Parameters<typeof create<typeof TimelineSchema>>[1] extends infer I ? I extends { lanes?: infer L } ? L : never : never) =>
  create(TimelineSchema, { quantiles: [0.2, 0.5, 0.8], lanes });

test("nested regions lie in rows of their own, outermost first", () => {
  const model = makeModel(timeline([{ role: "consumer", instances: [instance("inner", 0, 10, 20, 1), instance("outer", 0, 0, 40)] }]), new Map());
  expect(model.rows.map((row) => row.bars.map((bar) => bar.region))).toEqual([["outer"], ["inner"]]);
  expect([model.first, model.last]).toEqual([0, 40]);
});

test("instances that overlap at one depth never share a row", () => {
  const model = makeModel(timeline([{ role: "w", instances: [instance("a", 0, 0, 10), instance("a", 1, 5, 15), instance("a", 2, 12, 20)] }]), new Map());
  for (const row of model.rows)
    for (let i = 1; i < row.bars.length; ++i) expect(row.bars[i]!.start).toBeGreaterThanOrEqual(row.bars[i - 1]!.end);
  expect(model.rows.length).toBe(2);
});

test("an instance without a known start or end is left out, a missing whisker falls on the median", () => {
  const model = makeModel(timeline([{ role: "w", instances: [
    { region: "a", startNs: [NaN, NaN, NaN], endNs: [1, 1, 1] },
    { region: "b", startNs: [NaN, 5, NaN], endNs: [NaN, 9, NaN] }] }]), new Map());
  expect(model.bars).toBe(1);
  expect(model.rows[0]!.bars[0]).toMatchObject({ startLow: 5, startHigh: 5, endLow: 9, endHigh: 9 });
});

test("without any instance the axis still has a length", () => {
  const model = makeModel(timeline([]), new Map());
  expect(model.last).toBeGreaterThan(model.first);
});

test("a region has one colour in two timelines that share a map", () => {
  const colors = new Map<string, number>();
  makeModel(timeline([{ role: "w", instances: [instance("a", 0, 0, 1), instance("b", 0, 1, 2)] }]), colors);
  const second = makeModel(timeline([{ role: "w", instances: [instance("b", 0, 0, 1)] }]), colors);
  expect(second.rows[0]!.bars[0]!.color).toBe(colors.get("b"));
});

test("steps of the critical path, also folded ones, mark their instances", () => {
  const path = create(CriticalPathAtSchema, { steps: [{ role: "w", region: "a", ordinal: 1n, repeats: 2 }] });
  const model = makeModel(timeline([{ role: "w", instances: [0, 1, 2, 3].map((k) => instance("a", k, k * 10, k * 10 + 5)) }]), new Map(), path);
  expect(model.rows[0]!.bars.map((bar) => bar.onPath)).toEqual([false, true, true, false]);
});

test("the search for what is in view finds a long bar that began far before it", () => {
  const model = makeModel(timeline([{ role: "w", instances: [instance("long", 0, 0, 1000), ...[...Array(50).keys()].map((k) => instance("s", k, 1001 + k * 10, 1005 + k * 10))] }]), new Map());
  const row = model.rows[0]!;
  expect(row.bars[firstVisible(row, 990)]!.region).toBe("long");
  expect(barAt(row, 990, 1)!.region).toBe("long");
  expect(barAt(row, 1013, 0)!.stat.ordinal).toBe(1n);
  expect(barAt(row, 1008, 0)).toBeUndefined();
});

test("views stay inside the data, and zooming keeps the time under the pointer", () => {
  expect(clampView({ from: -50, to: 50 }, 0, 100)).toEqual({ from: 0, to: 100 });
  expect(clampView({ from: 90, to: 110 }, 0, 100)).toEqual({ from: 80, to: 100 });
  const view = zoom({ from: 0, to: 100 }, 25, 0.5);
  expect((25 - view.from) / (view.to - view.from)).toBeCloseTo(0.25);
});

test("ticks are round, inside the view and about as many as wanted", () => {
  for (const [from, to] of [[0, 1000], [123456, 123999], [0, 3.2e9]] as const) {
    const found = ticks({ from, to }, 8);
    expect(found.length).toBeGreaterThanOrEqual(3);
    expect(found.length).toBeLessThanOrEqual(17);
    for (const t of found) { expect(t).toBeGreaterThanOrEqual(from); expect(t).toBeLessThanOrEqual(to); }
  }
});

const path = (steps: { role: string; region: string; ordinal: number; startNs: number; repeats?: number; entersBy?: string }[]) =>
  create(CriticalPathAtSchema, { steps: steps.map((step) => ({ repeats: 1, ...step, ordinal: BigInt(step.ordinal) })) });
const ordinals = (keys: Set<string>, region: string) => [...keys].filter((k) => k.split("\n")[1] === region).map((k) => Number(k.split("\n")[2]));

test("a path that stays in its warp takes every instance of a folded loop", () => {
  const keys = pathKeys(path([{ role: "p", region: "load", ordinal: 0, startNs: 0, repeats: 3 }, { role: "c", region: "mma", ordinal: 9, startNs: 300 }]), timeline([]));
  expect(ordinals(keys, "load")).toEqual([0, 1, 2]);
  expect(ordinals(keys, "mma")).toEqual([9]);
});

test("one that goes round a ring of three slots takes every third", () => {
  const round = [{ role: "c", region: "wait", ordinal: 1, startNs: 900, repeats: 10, entersBy: "full" }, { role: "p", region: "load", ordinal: 4, startNs: 2241, repeats: 10 }];
  const after = pathKeys(path([...round, { role: "c", region: "wait", ordinal: 31, startNs: 18_629 }]), timeline([]));
  expect(ordinals(after, "wait")).toEqual([1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31]);
  expect(ordinals(after, "load")).toEqual([4, 7, 10, 13, 16, 19, 22, 25, 28, 31]);
  // Where something else comes after the rounds, their length tells.
  const lanes = timeline([{ role: "c", instances: Array.from({ length: 32 }, (_, i) => instance("wait", i, 300 + 600 * i, 420 + 600 * i)) }]);
  const other = pathKeys(path([...round, { role: "c", region: "drain", ordinal: 0, startNs: 19_000 }]), lanes);
  expect(ordinals(other, "wait")).toEqual([1, 4, 7, 10, 13, 16, 19, 22, 25, 28]);
});
