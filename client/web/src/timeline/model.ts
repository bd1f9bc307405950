// From a Timeline message to rows of bars: what is where, without a canvas.
import type { CriticalPathAt, PathStep } from "../gen/sextant/v1/analysis_pb";
import type { InstanceStat, Timeline } from "../gen/sextant/v1/sextant_pb";

export interface Bar {
  region: string;
  color: number;        // index into the palette
  startLow: number;     // ns; the lowest quantile asked for, the middle one, the highest
  start: number;
  startHigh: number;
  endLow: number;
  end: number;
  endHigh: number;
  stat: InstanceStat;
  onPath: boolean;
}

export interface Row {
  lane: number;
  depth: number;
  bars: Bar[];          // by start
  longest: number;      // duration of the longest bar with its whiskers: how far a search looks back
}

export interface LaneInfo {
  role: string;
  tracks: number;
  confidence: number;
  alignment: string;
  firstRow: number;
  rows: number;
}

export interface Model {
  lanes: LaneInfo[];
  rows: Row[];
  first: number;
  last: number;
  regions: string[];    // in order of first appearance
  bars: number;
  quantiles: { low: number; mid: number; high: number };
}

export const kColors = 10;
const kMaxSubRows = 4;

function middle(quantiles: readonly number[]): number {
  let best = 0;
  quantiles.forEach((q, i) => { if (Math.abs(q - 0.5) < Math.abs((quantiles[best] ?? 1) - 0.5)) best = i; });
  return best;
}

// Regions seen in several timelines get one colour: pass the same map for all of them.
export function makeModel(timeline: Timeline, colors: Map<string, number>, path?: CriticalPathAt): Model {
  const mid = middle(timeline.quantiles);
  const top = Math.max(0, timeline.quantiles.length - 1);
  const onPath = pathKeys(path, timeline);
  const model: Model = {
    lanes: [], rows: [], first: Infinity, last: -Infinity, regions: [], bars: 0,
    quantiles: { low: timeline.quantiles[0] ?? 0.5, mid: timeline.quantiles[mid] ?? 0.5, high: timeline.quantiles[top] ?? 0.5 },
  };
  const seen = new Set<string>();
  for (const lane of timeline.lanes) {
    const byDepth = new Map<number, Bar[]>();
    for (const stat of lane.instances) {
      const bar = makeBar(stat, mid, top);
      if (!bar) continue;
      if (!colors.has(stat.region)) colors.set(stat.region, colors.size % kColors);
      bar.color = colors.get(stat.region)!;
      bar.onPath = onPath.has(keyOf(lane.role, stat.region, Number(stat.ordinal)));
      if (!seen.has(stat.region)) { seen.add(stat.region); model.regions.push(stat.region); }
      const bars = byDepth.get(stat.depth) ?? [];
      bars.push(bar);
      byDepth.set(stat.depth, bars);
      model.first = Math.min(model.first, bar.startLow);
      model.last = Math.max(model.last, bar.endHigh);
      ++model.bars;
    }
    const info: LaneInfo = {
      role: lane.role, tracks: lane.tracks, confidence: lane.alignmentConfidence, alignment: lane.alignment,
      firstRow: model.rows.length, rows: 0,
    };
    for (const depth of [...byDepth.keys()].sort((a, b) => a - b))
      for (const bars of pack(byDepth.get(depth)!)) {
        model.rows.push({
          lane: model.lanes.length, depth, bars,
          longest: bars.reduce((most, bar) => Math.max(most, bar.endHigh - bar.startLow), 0),
        });
        ++info.rows;
      }
    if (info.rows > 0) model.lanes.push(info);
  }
  if (model.bars === 0) { model.first = 0; model.last = 1; }
  if (model.last <= model.first) model.last = model.first + 1;
  return model;
}

function makeBar(stat: InstanceStat, mid: number, top: number): Bar | undefined {
  const start = stat.startNs[mid] ?? NaN;
  const end = stat.endNs[mid] ?? NaN;
  if (!Number.isFinite(start) || !Number.isFinite(end) || end < start) return undefined;
  const or = (value: number | undefined, other: number) => value !== undefined && Number.isFinite(value) ? value : other;
  return {
    region: stat.region, color: 0, stat, onPath: false, start, end,
    startLow: Math.min(start, or(stat.startNs[0], start)), startHigh: Math.max(start, or(stat.startNs[top], start)),
    endLow: Math.min(end, or(stat.endNs[0], end)), endHigh: Math.max(end, or(stat.endNs[top], end)),
  };
}

// Bars that overlap go into rows of their own, at most kMaxSubRows; the rest share the last.
function pack(bars: Bar[]): Bar[][] {
  bars.sort((a, b) => a.start - b.start || b.end - a.end);
  const rows: Bar[][] = [];
  const ends: number[] = [];
  for (const bar of bars) {
    let row = ends.findIndex((end) => end <= bar.start);
    if (row < 0) row = rows.length < kMaxSubRows ? rows.push([]) - 1 : kMaxSubRows - 1;
    rows[row]!.push(bar);
    ends[row] = Math.max(ends[row] ?? -Infinity, bar.end);
  }
  return rows;
}

const keyOf = (role: string, region: string, ordinal: number) => `${role}\n${region}\n${ordinal}`;

// The instances a path goes through. Rounds of a loop come folded: of each step the first instance and how many
// there are. A path that stays in its warp takes every instance; one that enters by a barrier goes round a
// ring of slots and takes every n-th, where n follows from the step after the rounds, else from their length.
export function pathKeys(path: CriticalPathAt | undefined, timeline: Timeline): Set<string> {
  const keys = new Set<string>();
  const steps = path?.steps ?? [];
  const mid = middle(timeline.quantiles);
  const starts = new Map<string, number>();
  if (steps.some((step) => step.repeats > 1))
    for (const lane of timeline.lanes)
      for (const stat of lane.instances) starts.set(keyOf(lane.role, stat.region, Number(stat.ordinal)), stat.startNs[mid] ?? NaN);
  for (let at = 0; at < steps.length;) {
    let end = at + 1;
    while (end < steps.length && steps[end]!.repeats === steps[at]!.repeats && steps[at]!.repeats > 1) ++end;
    const round = steps.slice(at, end);
    const stride = strideOf(round, steps[end], starts);
    for (const step of round)
      for (let k = 0; k < Math.max(1, step.repeats); ++k) keys.add(keyOf(step.role, step.region, Number(step.ordinal) + k * stride));
    at = end;
  }
  return keys;
}

function strideOf(round: readonly PathStep[], next: PathStep | undefined, starts: Map<string, number>): number {
  const first = round[0]!;
  const times = first.repeats;
  if (times <= 1 || !round.some((step) => step.entersBy)) return 1;
  if (next && next.role === first.role && next.region === first.region) {
    const stride = Number(next.ordinal - first.ordinal) / times;
    if (Number.isInteger(stride) && stride > 0) return stride;
  }
  if (!next) return 1;
  const span = (next.startNs - first.startNs) * (times - 1) / times;   // from the first instance to the last
  const step = round.find((s) => starts.has(keyOf(s.role, s.region, Number(s.ordinal))));
  if (!step) return 1;
  const from = starts.get(keyOf(step.role, step.region, Number(step.ordinal)))!;
  let best = 1;
  let off = Infinity;
  for (let stride = 1; stride <= 64; ++stride) {
    const to = starts.get(keyOf(step.role, step.region, Number(step.ordinal) + stride * (times - 1)));
    if (to === undefined) break;
    if (Math.abs(to - from - span) < off) { off = Math.abs(to - from - span); best = stride; }
  }
  return best;
}

// Index of the first bar of a row that may reach into view.
export function firstVisible(row: Row, from: number): number {
  let low = 0;
  let high = row.bars.length;
  const target = from - row.longest;
  while (low < high) {
    const half = (low + high) >> 1;
    if (row.bars[half]!.startLow < target) low = half + 1; else high = half;
  }
  return low;
}

// The bar at a time in a row; of several the shortest.
export function barAt(row: Row, at: number, slack: number): Bar | undefined {
  let best: Bar | undefined;
  for (let i = firstVisible(row, at - slack); i < row.bars.length; ++i) {
    const bar = row.bars[i]!;
    if (bar.startLow > at + slack) break;
    if (bar.start - slack <= at && at <= bar.end + slack && (!best || bar.end - bar.start < best.end - best.start)) best = bar;
  }
  return best;
}

export interface View {
  from: number;
  to: number;
}

// Keeps a view inside the data and no narrower than a nanosecond.
export function clampView(view: View, first: number, last: number): View {
  const all = last - first;
  const span = Math.min(Math.max(view.to - view.from, 1), all);
  const from = Math.min(Math.max(view.from, first), last - span);
  return { from, to: from + span };
}

// Scales the view about a fixed time.
export function zoom(view: View, about: number, factor: number): View {
  return { from: about - (about - view.from) * factor, to: about + (view.to - about) * factor };
}

// About `wanted` round times in the view.
export function ticks(view: View, wanted: number): number[] {
  const rough = (view.to - view.from) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough) ?? rough;
  const found: number[] = [];
  for (let k = Math.ceil(view.from / step); k * step <= view.to; ++k) found.push(k * step);
  return found;
}
