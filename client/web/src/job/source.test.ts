import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { HotspotSchema } from "../gen/sextant/v1/analysis_pb";
import { heatOfFiles } from "./source";

const spot = (name: string, share: number) => create(HotspotSchema, { name, share });
const source = (path: string, lines: number) => ({ path, lines: Array.from({ length: lines }, (_, i) => `line ${i + 1}`) });

test("lines meet their files by name, the hottest file first", () => {
  const heat = heatOfFiles([spot("kernel.py:2", 0.2), spot("a.cuh:1", 0.5), spot("other.h:1", 0.2), spot("(no line)", 0.1)],
    [source("src/kernel.py", 3), source("a.cuh", 1)]);
  expect(heat.map((h) => [h.source.path, h.share, [...h.lines.keys()]])).toEqual([["a.cuh", 0.5, [1]], ["src/kernel.py", 0.2, [2]]]);
});

test("two files of one name cannot be told apart, and lines beyond a file are another file's", () => {
  expect(heatOfFiles([spot("k.py:1", 0.5)], [source("a/k.py", 3), source("b/k.py", 3)])).toEqual([]);
  expect(heatOfFiles([spot("k.py:9", 0.5)], [source("k.py", 3)])).toEqual([]);
});

test("a share that is not known weighs nothing", () => {
  const [heat] = heatOfFiles([spot("k.py:1", NaN), spot("k.py:2", 0.5)], [source("k.py", 3)]);
  expect(heat!.share).toBe(0.5);
  expect(heat!.lines.size).toBe(2);
});
