// The statistical timeline as one canvas: zoom, pan, hover, keyboard. Its table twin is in table.tsx.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { count, ns, percent, plain } from "../format";
import { barAt, clampView, zoom, type Bar, type Model, type View } from "./model";
import { kAxis, kRow, labelWidth, layout, paint, readTheme } from "./painter";

export interface TimelineCanvasProps {
  model: Model;
  name: string;                         // read to a screen reader
  view?: View;                          // shared with another timeline; absent: its own
  onView?: (view: View) => void;
  region?: string;                      // highlighted
  path: boolean;                        // highlight the critical path
}

export function TimelineCanvas({ model, name, view: shared, onView, region, path }: TimelineCanvasProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(800);
  const [own, setOwn] = useState<View>({ from: model.first, to: model.last });
  const [bar, setBar] = useState<{ bar: Bar; x: number; y: number }>();
  const [themed, setThemed] = useState(0);
  const { tops, height } = useMemo(() => layout(model), [model]);
  const view = shared ?? own;
  const setView = (next: View) => {
    const clamped = shared ? next : clampView(next, model.first, model.last);
    (onView ?? setOwn)(clamped);
  };
  useEffect(() => { if (!shared) setOwn({ from: model.first, to: model.last }); setBar(undefined); }, [model]);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(([entry]) => setWidth(Math.max(240, Math.floor(entry!.contentRect.width))));
    watch.observe(box.current!);
    const theme = new MutationObserver(() => setThemed((n) => n + 1));
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const turned = () => setThemed((n) => n + 1);
    dark.addEventListener("change", turned);
    return () => { watch.disconnect(); theme.disconnect(); dark.removeEventListener("change", turned); };
  }, []);

  // One picture a frame, however many events came.
  const wanted = useRef(0);
  useLayoutEffect(() => {
    cancelAnimationFrame(wanted.current);
    wanted.current = requestAnimationFrame(() => {
      const c = canvas.current;
      if (!c) return;
      const ratio = devicePixelRatio || 1;
      if (c.width !== Math.round(width * ratio) || c.height !== Math.round(height * ratio)) {
        c.width = Math.round(width * ratio);
        c.height = Math.round(height * ratio);
      }
      const g = c.getContext("2d")!;
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      paint(g, width, height, model, tops, view, readTheme(c), { bar: bar?.bar, region, path });
    });
  }, [model, tops, height, width, view.from, view.to, bar?.bar, region, path, themed]);

  const left = labelWidth(width);
  const perPx = (view.to - view.from) / (width - left);
  const timeAt = (x: number) => view.from + (x - left) * perPx;
  const rowAt = (y: number) => tops.findIndex((top) => y >= top && y < top + kRow);

  // Pointers: one drags, two pinch, none hovers.
  const pointers = useRef(new Map<number, { x: number; y: number }>());
  const local = (e: PointerEvent | WheelEvent) => {
    const r = canvas.current!.getBoundingClientRect();
    return { x: e.clientX - r.left, y: e.clientY - r.top };
  };
  const down = (e: PointerEvent) => {
    canvas.current!.setPointerCapture(e.pointerId);
    pointers.current.set(e.pointerId, local(e));
  };
  const up = (e: PointerEvent) => { pointers.current.delete(e.pointerId); };
  const move = (e: PointerEvent) => {
    const at = local(e);
    const before = pointers.current.get(e.pointerId);
    if (before && pointers.current.size === 1) {
      const shift = (before.x - at.x) * perPx;
      setView({ from: view.from + shift, to: view.to + shift });
      setBar(undefined);
    } else if (before && pointers.current.size === 2) {
      const other = [...pointers.current.entries()].find(([id]) => id !== e.pointerId)![1];
      const was = Math.abs(before.x - other.x);
      const is = Math.abs(at.x - other.x);
      if (was > 4 && is > 4) setView(zoom(view, timeAt((at.x + other.x) / 2), was / is));
    } else if (!before) {
      const row = rowAt(at.y);
      const found = row >= 0 && at.x > left ? barAt(model.rows[row]!, timeAt(at.x), 2 * perPx) : undefined;
      setBar(found && { bar: found, ...at });
    }
    if (before) pointers.current.set(e.pointerId, at);
  };
  useEffect(() => {
    const c = canvas.current!;
    const wheel = (e: WheelEvent) => {
      if (!(e.ctrlKey || e.metaKey || e.shiftKey || document.activeElement === c)) return;   // the page scrolls
      e.preventDefault();
      const delta = e.deltaY || e.deltaX;
      if (e.shiftKey) setView({ from: view.from + delta * perPx, to: view.to + delta * perPx });
      else setView(zoom(view, timeAt(local(e).x), Math.exp(Math.max(-200, Math.min(200, delta)) * 0.002)));
    };
    c.addEventListener("wheel", wheel, { passive: false });
    return () => c.removeEventListener("wheel", wheel);
  });

  const step = (by: number) => {
    const all = model.rows.flatMap((row, i) => row.bars.map((b) => ({ b, i })));
    if (all.length === 0) return;
    const now = all.findIndex(({ b }) => b === bar?.bar);
    const next = all[Math.min(all.length - 1, Math.max(0, now + by))]!;
    let seen = view;
    if (next.b.end < view.from || next.b.start > view.to) {
      const half = (view.to - view.from) / 2;
      seen = clampView({ from: (next.b.start + next.b.end) / 2 - half, to: (next.b.start + next.b.end) / 2 + half }, model.first, model.last);
      setView(seen);
    }
    const at = ((next.b.start + next.b.end) / 2 - seen.from) / (seen.to - seen.from);
    setBar({ bar: next.b, x: left + at * (width - left), y: tops[next.i]! });
  };
  const key = (e: KeyboardEvent) => {
    const span = view.to - view.from;
    const about = (view.from + view.to) / 2;
    const moves: Record<string, () => void> = {
      ArrowLeft: () => setView({ from: view.from - span * 0.15, to: view.to - span * 0.15 }),
      ArrowRight: () => setView({ from: view.from + span * 0.15, to: view.to + span * 0.15 }),
      "+": () => setView(zoom(view, about, 0.7)), "=": () => setView(zoom(view, about, 0.7)),
      "-": () => setView(zoom(view, about, 1 / 0.7)),
      "0": () => setView({ from: model.first, to: model.last }),
      n: () => step(1), p: () => step(-1), Escape: () => setBar(undefined),
    };
    const act = moves[e.key];
    if (!act || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    act();
  };

  return (
    <div class="timeline" ref={box}>
      <canvas ref={canvas} style={{ width: `${width}px`, height: `${height}px` }} tabIndex={0} role="application"
        aria-label={`${name}. Left and right move, plus and minus zoom, zero shows all, n and p step through instances.`}
        onPointerDown={down} onPointerUp={up} onPointerCancel={up} onPointerMove={move}
        onPointerLeave={() => pointers.current.size === 0 && setBar(undefined)}
        onDblClick={() => setView({ from: model.first, to: model.last })} onKeyDown={key} />
      {bar ? <Tip model={model} bar={bar.bar} x={bar.x} y={bar.y} width={width} /> : null}
      <p class="hidden" aria-live="polite">{bar ? sentence(model, bar.bar) : ""}</p>
    </div>
  );
}

function sentence(model: Model, bar: Bar): string {
  const d = bar.stat.durationNs;
  return `${plain(bar.region)} number ${bar.stat.ordinal}: starts at ${ns(bar.start)}, takes ${ns(bar.end - bar.start)}; `
    + `duration P${model.quantiles.low * 100} ${ns(d[0] ?? NaN)}, P${model.quantiles.high * 100} ${ns(d[d.length - 1] ?? NaN)}; seen in ${bar.stat.passes} passes.`;
}

function Tip({ model, bar, x, y, width }: { model: Model; bar: Bar; x: number; y: number; width: number }) {
  const stat = bar.stat;
  const q = model.quantiles;
  const p = (value: number) => `P${Math.round(value * 1000) / 10}`;
  const right = x > width / 2;
  const row = (label: string, values: readonly number[]) => (
    <tr><th scope="row">{label}</th>{[0, values.length >> 1, values.length - 1].map((i) => <td>{ns(values[i] ?? NaN)}</td>)}</tr>
  );
  return (
    <div class="tip" style={{ top: `${Math.max(kAxis, y + 22)}px`, [right ? "right" : "left"]: `${right ? Math.max(4, width - x + 12) : x + 12}px` }}>
      <strong>{plain(bar.region)}</strong> <span class="faint">#{String(stat.ordinal)}</span>
      <table>
        <thead><tr><th /><th scope="col">{p(q.low)}</th><th scope="col">{p(q.mid)}</th><th scope="col">{p(q.high)}</th></tr></thead>
        <tbody>{row("start", stat.startNs)}{row("end", stat.endNs)}{row("duration", stat.durationNs)}</tbody>
      </table>
      <p class="faint">{count(stat.count)} observations in {stat.passes} passes · spread {percent(stat.spread)}
        {bar.onPath ? " · on the critical path" : ""}</p>
    </div>
  );
}
