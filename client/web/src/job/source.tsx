// Source files that were sent with a job, with the share of samples beside each line.
import { useEffect, useRef } from "preact/hooks";
import { call, download, hex, Sextant } from "../api";
import type { Hotspot } from "../gen/sextant/v1/analysis_pb";
import { percent, plain } from "../format";

const kMaxBytes = 1 << 20;
const kMaxFiles = 32;
const kMaxLines = 5000;
const kSource = /\.(py|cu|cuh|cc|cpp|cxx|c|h|hpp|hip|inl)$/i;

export interface Source {
  path: string;
  lines: string[];
}

export interface Heat {
  source: Source;
  share: number;                      // of all samples
  lines: Map<number, Hotspot>;        // from 1
}

// The text files among what was sent with the task's program.
export async function readSources(jobId: bigint, task: string, signal: AbortSignal): Promise<Source[]> {
  const answer = await call(Sextant.method.getJob, { jobId, withTasks: true, withSpecs: true }, signal);
  const spec = answer.tasks.find((t) => t.path === task)?.spec;
  const files = spec?.kind.case === "profile" ? spec.kind.value.workload?.files ?? [] : [];
  const wanted = files.filter((f) => kSource.test(f.path) && Number(f.sizeBytes) <= kMaxBytes).slice(0, kMaxFiles);
  return Promise.all(wanted.map(async (f) => {
    const text = await (await download(Sextant.method.getBlob, { digest: hex(f.digest) })).text();
    return { path: f.path, lines: text.split(/\r?\n/).slice(0, kMaxLines) };
  }));
}

const baseName = (path: string) => path.slice(path.lastIndexOf("/") + 1);

// Which lines of which files are hot, the hottest file first. A hotspot is called "gemm.cu:88": two files of one name
// cannot be told apart, and have none.
export function heatOfFiles(hotspots: readonly Hotspot[], sources: readonly Source[]): Heat[] {
  const byName = new Map<string, Heat>();
  for (const source of sources) {
    const name = baseName(source.path);
    if (byName.has(name)) byName.get(name)!.source = { path: "", lines: [] };
    else byName.set(name, { source, share: 0, lines: new Map() });
  }
  for (const spot of hotspots) {
    const colon = spot.name.lastIndexOf(":");
    const line = Number(spot.name.slice(colon + 1));
    const heat = byName.get(baseName(spot.name.slice(0, colon)));
    if (!heat || !heat.source.path || !(line >= 1 && line <= heat.source.lines.length)) continue;
    heat.lines.set(line, spot);
    if (Number.isFinite(spot.share)) heat.share += spot.share;
  }
  return [...byName.values()].filter((heat) => heat.lines.size > 0).sort((a, b) => b.share - a.share);
}

export function SourceListing({ file, selected, onSelect }: { file: Heat; selected: string; onSelect: (name: string) => void }) {
  const hottest = Math.max(...[...file.lines.values()].map((h) => h.share || 0));
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {   // begins at the hottest line
    const row = box.current?.querySelector<HTMLElement>(".hottest");
    if (row) box.current!.scrollTop = Math.max(0, row.offsetTop - box.current!.clientHeight / 3);
  }, [file.source.path]);
  return (
    <><h3>{plain(file.source.path, 60)}</h3>
      <div class="scroll source" ref={box} tabIndex={0} role="region" aria-label={`Source ${file.source.path}`}>
        <table><caption class="hidden">Source with the share of samples of each line</caption>
          <thead class="hidden"><tr><th scope="col">line</th><th scope="col">share</th><th scope="col">text</th></tr></thead>
          <tbody>{file.source.lines.map((text, i) => {
            const spot = file.lines.get(i + 1);
            const share = spot && Number.isFinite(spot.share) ? spot.share : 0;
            return (
              <tr class={`${spot && selected === spot.name ? "chosen" : ""}${spot && share === hottest ? " hottest" : ""}`}
                style={share ? { background: `color-mix(in srgb, var(--bad) ${Math.round(4 + 22 * share / hottest)}%, transparent)` } : undefined}>
                <td class="number faint">{i + 1}</td>
                <td class="number">{spot ? <button class="plain" aria-pressed={selected === spot.name} aria-label={`Line ${i + 1}, ${percent(spot.share)} of the samples: show its SASS`} onClick={() => onSelect(spot.name)}>{percent(spot.share)}</button> : null}</td>
                <td><code>{plain(text.replace(/\t/g, "    "), 300)}</code></td>
              </tr>);
          })}</tbody></table>
      </div></>
  );
}
