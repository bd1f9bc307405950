// The whole run over time, from the rollups: one row a region, colour by duration. However many
// events there are, an answer has buckets × regions cells; zooming asks again for the part in view.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { call, Sextant } from "../api";
import type { Timeline } from "../gen/sextant/v1/sextant_pb";
import { count, ns, plain } from "../format";
import { Busy, Problem } from "../ui";
import { clampView, ticks, zoom, type View } from "./model";
import { kAxis, labelWidth, readTheme } from "./painter";

const kRow = 18;
const kBuckets = 512;

interface Slice {
  timeline: Timeline;
  first: number;     // ns of the first bucket
  width: number;     // ns of a bucket
  mid: number;
}

export function OverTime({ jobId, task, colors }: { jobId: bigint; task: string; colors: Map<string, number> }) {
  const [slice, setSlice] = useState<Slice>();
  const [whole, setWhole] = useState<View>();
  const [view, setView] = useState<View>();
  const [error, setError] = useState<unknown>();
  const asked = useRef("");

  // Asks for what is in view; the old picture stays, scaled, until the answer comes.
  useEffect(() => {
    const key = view ? `${Math.round(view.from)}-${Math.round(view.to)}` : "all";
    if (key === asked.current) return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      asked.current = key;
      call(Sextant.method.getTimeline, {
        jobId, task, buckets: kBuckets, withoutInstances: true,
        fromNs: view ? BigInt(Math.max(0, Math.floor(view.from))) : 0n, toNs: view ? BigInt(Math.ceil(view.to)) : 0n,
      }, abort.signal).then((timeline) => {
        const width = Number(timeline.bucketNs);
        const first = Number(timeline.firstBucketNs);
        const buckets = timeline.buckets[0]?.counts.length ?? 0;
        setSlice({ timeline, first, width, mid: timeline.quantiles.length >> 1 });
        if (!view) { const all = { from: first, to: first + Math.max(1, buckets * width) }; setWhole(all); setView(all); asked.current = `${Math.round(all.from)}-${Math.round(all.to)}`; }
      }).catch((e) => { if (!abort.signal.aborted) setError(e); });
    }, view ? 80 : 0);
    return () => { clearTimeout(timer); abort.abort(); };
  }, [jobId, task, view?.from, view?.to]);

  if (error) return <Problem error={error} />;
  if (!slice || !view || !whole) return <Busy what="Reading the rollups" />;
  if (slice.timeline.buckets.length === 0) return <p class="notice">Nothing was recorded over time.</p>;
  return <Heat slice={slice} colors={colors} view={view} whole={whole} onView={setView} />;
}

function Heat({ slice, colors, view, whole, onView }: { slice: Slice; colors: Map<string, number>; view: View; whole: View; onView: (view: View) => void }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(800);
  const [hover, setHover] = useState<{ row: number; bucket: number; x: number; y: number }>();
  const series = slice.timeline.buckets;
  const quantiles = slice.timeline.quantiles.length;
  const height = kAxis + series.length * kRow + 6;
  // Each row has its own scale: what is long for it.
  const tops = useMemo(() => series.map((s) => {
    let most = 0;
    for (let b = 0; b < s.counts.length; ++b) { const d = s.durationNs[b * quantiles + slice.mid]!; if (d > most) most = d; }
    return most;
  }), [slice]);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(([entry]) => setWidth(Math.max(240, Math.floor(entry!.contentRect.width))));
    watch.observe(box.current!);
    return () => watch.disconnect();
  }, []);
  const left = labelWidth(width);
  const perPx = (view.to - view.from) / (width - left);
  useLayoutEffect(() => {
    const frame = requestAnimationFrame(() => {
      const c = canvas.current!;
      const ratio = devicePixelRatio || 1;
      c.width = Math.round(width * ratio);
      c.height = Math.round(height * ratio);
      const g = c.getContext("2d")!;
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      const theme = readTheme(c);
      g.font = "12px system-ui, sans-serif";
      g.textBaseline = "middle";
      g.textAlign = "center";
      for (const t of ticks(view, (width - left) / 110)) {
        const x = left + (t - view.from) / perPx;
        g.fillStyle = theme.faint;
        g.fillText(ns(t), Math.min(Math.max(x, left + 24), width - 28), kAxis / 2);
      }
      series.forEach((s, row) => {
        const y = kAxis + row * kRow;
        g.textAlign = "left";
        g.fillStyle = theme.text;
        g.fillText(plain(s.region, 24), 6, y + kRow / 2, left - 10);
        g.save();
        g.beginPath(); g.rect(left, y, width - left, kRow - 2); g.clip();
        g.fillStyle = theme.stripe;
        g.fillRect(left, y, width - left, kRow - 2);
        g.fillStyle = theme.palette[colors.get(s.region) ?? row % theme.palette.length]!;
        for (let b = 0; b < s.counts.length; ++b) {
          if (!Number(s.counts[b])) continue;
          const x = left + (slice.first + b * slice.width - view.from) / perPx;
          if (x > width) break;
          g.globalAlpha = 0.15 + 0.85 * Math.min(1, (s.durationNs[b * quantiles + slice.mid] ?? 0) / (tops[row] || 1));
          g.fillRect(x, y, Math.max(1, slice.width / perPx + 0.5), kRow - 2);
        }
        g.restore();
      });
    });
    return () => cancelAnimationFrame(frame);
  });
  const at = (e: MouseEvent) => { const r = canvas.current!.getBoundingClientRect(); return { x: e.clientX - r.left, y: e.clientY - r.top }; };
  const go = (next: View) => onView(clampView(next, whole.from, whole.to));
  const drag = useRef<number>();
  useEffect(() => {
    const c = canvas.current!;
    const wheel = (e: WheelEvent) => {
      if (!(e.ctrlKey || e.metaKey || document.activeElement === c)) return;
      e.preventDefault();
      go(zoom(view, view.from + (at(e).x - left) * perPx, Math.exp(Math.max(-200, Math.min(200, e.deltaY)) * 0.002)));
    };
    c.addEventListener("wheel", wheel, { passive: false });
    return () => c.removeEventListener("wheel", wheel);
  });
  const key = (e: KeyboardEvent) => {
    const span = view.to - view.from;
    const about = (view.from + view.to) / 2;
    const next: Record<string, View> = {
      ArrowLeft: { from: view.from - span * 0.15, to: view.to - span * 0.15 }, ArrowRight: { from: view.from + span * 0.15, to: view.to + span * 0.15 },
      "+": zoom(view, about, 0.7), "-": zoom(view, about, 1 / 0.7), "0": whole,
    };
    if (!next[e.key]) return;
    e.preventDefault();
    go(next[e.key]!);
  };
  const move = (e: PointerEvent) => {
    const p = at(e);
    if (drag.current !== undefined) {
      const shift = (drag.current - p.x) * perPx;
      drag.current = p.x;
      go({ from: view.from + shift, to: view.to + shift });
      setHover(undefined);
      return;
    }
    const row = Math.floor((p.y - kAxis) / kRow);
    const bucket = Math.floor((view.from + (p.x - left) * perPx - slice.first) / slice.width);
    setHover(series[row]?.counts[bucket] !== undefined && p.x > left ? { row, bucket, ...p } : undefined);
  };
  const s = hover && series[hover.row];
  return (
    <div class="timeline" ref={box}>
      <canvas ref={canvas} data-slice={`${slice.first}+${slice.width}`} style={{ width: `${width}px`, height: `${height}px` }} tabIndex={0} role="application"
        aria-label={`Duration of ${series.length} regions over time. Arrows move, plus and minus zoom, zero shows all.`}
        onPointerDown={(e) => { canvas.current!.setPointerCapture(e.pointerId); drag.current = at(e).x; }}
        onPointerUp={() => { drag.current = undefined; }} onPointerMove={move} onPointerLeave={() => setHover(undefined)}
        onDblClick={() => go(whole)} onKeyDown={key} />
      {hover && s ? (
        <div class="tip" style={{ top: `${hover.y + 20}px`, [hover.x > width / 2 ? "right" : "left"]: `${hover.x > width / 2 ? width - hover.x + 12 : hover.x + 12}px` }}>
          <strong>{plain(s.region)}</strong>
          <p>{ns(slice.first + hover.bucket * slice.width)}: {count(Number(s.counts[hover.bucket] ?? 0))} instances</p>
          <p class="faint">{slice.timeline.quantiles.map((q, i) => `P${q * 100} ${ns(s.durationNs[hover.bucket * quantiles + i] ?? NaN)}`).join(" · ")}</p>
        </div>
      ) : null}
    </div>
  );
}
