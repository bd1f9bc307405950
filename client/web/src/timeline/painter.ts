// Draws a Model on a canvas. Pure in (model, view, theme): the same input paints the same picture.
import { firstVisible, kColors, ticks, type Bar, type Model, type View } from "./model";
import { ns, plain } from "../format";

export interface Theme {
  text: string;
  faint: string;
  line: string;
  surface: string;
  stripe: string;
  path: string;
  focus: string;
  palette: string[];
}

export function readTheme(element: Element): Theme {
  const style = getComputedStyle(element);
  const get = (name: string) => style.getPropertyValue(name).trim();
  return {
    text: get("--text"), faint: get("--faint"), line: get("--line"), surface: get("--surface"),
    stripe: get("--stripe"), path: get("--path"), focus: get("--accent"),
    palette: Array.from({ length: kColors }, (_, i) => get(`--region-${i}`)),
  };
}

export const kRow = 24;      // px
export const kLaneGap = 10;
export const kAxis = 26;
const kWhiskerRoom = 7;       // px

export function labelWidth(width: number): number {
  return Math.round(Math.min(180, Math.max(72, width * 0.16)));
}

// y of each row, and the height of everything.
export function layout(model: Model): { tops: number[]; height: number } {
  const tops: number[] = [];
  let y = kAxis;
  let lane = -1;
  for (const row of model.rows) {
    if (row.lane !== lane) { lane = row.lane; y += kLaneGap; }
    tops.push(y);
    y += kRow;
  }
  return { tops, height: y + kLaneGap };
}

export interface Highlight {
  bar?: Bar;
  region?: string;
  path: boolean;
}

export function paint(g: CanvasRenderingContext2D, width: number, height: number, model: Model,
                      tops: readonly number[], view: View, theme: Theme, highlight: Highlight): void {
  const left = labelWidth(width);
  const scale = (width - left) / (view.to - view.from);
  const x = (time: number) => left + (time - view.from) * scale;
  g.clearRect(0, 0, width, height);
  g.font = "12px system-ui, sans-serif";
  g.textBaseline = "middle";

  model.lanes.forEach((lane, i) => {
    const top = tops[lane.firstRow]! - kLaneGap / 2;
    const tall = lane.rows * kRow + kLaneGap;
    if (i % 2 === 0) { g.fillStyle = theme.stripe; g.fillRect(0, top, width, tall); }
  });
  g.strokeStyle = theme.line;
  g.fillStyle = theme.faint;
  g.lineWidth = 1;
  g.textAlign = "center";
  for (const time of ticks(view, (width - left) / 110)) {
    const at = Math.round(x(time)) + 0.5;
    g.beginPath(); g.moveTo(at, kAxis - 6); g.lineTo(at, height); g.stroke();
    g.fillText(ns(time), Math.min(Math.max(at, left + 24), width - 28), kAxis / 2);
  }

  g.save();
  g.beginPath(); g.rect(left, 0, width - left, height); g.clip();
  model.rows.forEach((row, i) => {
    const y = tops[i]! + 3;
    const tall = kRow - 6;
    let painted = -Infinity;      // right edge of what stands already: hides bars thinner than a pixel
    for (let k = firstVisible(row, view.from); k < row.bars.length; ++k) {
      const bar = row.bars[k]!;
      if (bar.startLow > view.to) break;
      const from = x(bar.start);
      const to = Math.max(x(bar.end), from + 1);
      const special = bar === highlight.bar || (highlight.path && bar.onPath);
      if (to <= painted + 0.5 && !special) continue;
      painted = Math.max(painted, to);
      const dim = (highlight.region !== undefined && highlight.region !== bar.region) || (highlight.path && !bar.onPath);
      g.globalAlpha = dim ? 0.25 : 1;
      g.fillStyle = theme.palette[bar.color]!;
      g.fillRect(from, y, to - from, tall);
      const room = to - from > kWhiskerRoom;   // thinner bars: whiskers would hide them
      if (room && (bar.startHigh - bar.startLow) * scale > 2) whisker(g, x(bar.startLow), x(bar.startHigh), y + tall / 2, theme.text);
      if (room && (bar.endHigh - bar.endLow) * scale > 2) whisker(g, x(bar.endLow), x(bar.endHigh), y + tall / 2, theme.text);
      if (special) {
        g.globalAlpha = 1;
        g.strokeStyle = bar === highlight.bar ? theme.focus : theme.path;
        g.lineWidth = 2;
        g.strokeRect(from - 1, y - 1, to - from + 2, tall + 2);
        g.lineWidth = 1;
      }
      if (to - from > 46) label(g, plain(bar.region, 60), from, to, y + tall / 2 + 0.5);
    }
    g.globalAlpha = 1;
  });
  g.restore();

  g.textAlign = "left";
  for (const lane of model.lanes) {
    const y = tops[lane.firstRow]! + kRow / 2;
    g.fillStyle = theme.text;
    g.fillText(fit(g, plain(lane.role || "(no role)", 60) + (lane.tracks > 1 ? ` ×${lane.tracks}` : ""), left - 12), 6, y);
    if (lane.rows > 1 && lane.confidence < 0.995) {
      g.fillStyle = theme.faint;
      g.fillText(fit(g, `${Math.round(lane.confidence * 100)} % aligned`, left - 12), 6, y + kRow);
    }
  }
  g.strokeStyle = theme.line;
  g.beginPath(); g.moveTo(left - 0.5, kAxis - 6); g.lineTo(left - 0.5, height); g.stroke();
}

function whisker(g: CanvasRenderingContext2D, from: number, to: number, y: number, color: string): void {
  g.strokeStyle = color;
  g.beginPath();
  g.moveTo(from, y); g.lineTo(to, y);
  g.moveTo(from, y - 3); g.lineTo(from, y + 3);
  g.moveTo(to, y - 3); g.lineTo(to, y + 3);
  g.stroke();
}

function label(g: CanvasRenderingContext2D, text: string, from: number, to: number, y: number): void {
  const shown = fit(g, text, to - from - 10);
  if (shown.length < 3) return;
  g.fillStyle = "#fff";
  g.textAlign = "left";
  g.fillText(shown, from + 5, y);
}

function fit(g: CanvasRenderingContext2D, text: string, room: number): string {
  if (g.measureText(text).width <= room) return text;
  let low = 0;
  let high = text.length;
  while (low < high) {
    const half = (low + high + 1) >> 1;
    if (g.measureText(`${text.slice(0, half)}…`).width <= room) low = half; else high = half - 1;
  }
  return low > 0 ? `${text.slice(0, low)}…` : "";
}
