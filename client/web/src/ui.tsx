// Small pieces every page uses.
import { useEffect, useRef, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { State } from "./gen/sextant/v1/types_pb";
import { CallError } from "./api";

const kStates: Record<number, string> = {
  [State.STATE_UNSPECIFIED]: "unknown", [State.WAITING]: "waiting", [State.READY]: "ready",
  [State.RUNNING]: "running", [State.DONE]: "done", [State.FAILED]: "failed", [State.CANCELLED]: "cancelled",
};
export const stateName = (state: State) => kStates[state] ?? "unknown";
export const isFinal = (state: State) => [State.DONE, State.FAILED, State.CANCELLED].includes(state);

export function StateBadge({ state }: { state: State }) {
  return <span class={`badge ${stateName(state)}`}>{stateName(state)}</span>;
}

export function Problem({ error }: { error: unknown }) {
  const call = error instanceof CallError ? error : undefined;
  const quiet = call && ["FAILED_PRECONDITION", "NOT_FOUND", "UNIMPLEMENTED"].includes(call.code);
  return (
    <div class={quiet ? "notice" : "notice bad"} role={quiet ? "status" : "alert"}>
      <p>{call?.message ?? String(error)}</p>
      {call?.remedy ? <p class="faint">{call.remedy}</p> : null}
    </div>
  );
}

export function Busy({ what }: { what: string }) {
  return <p class="faint busy" role="status">{what}…</p>;
}

export function Progress({ done, total, label }: { done: number; total: number; label: string }) {
  return <progress max={Math.max(1, total)} value={done} aria-label={label} />;
}

export interface Column<T> {
  name: string;
  unit?: string;
  number?: boolean;
  wrap?: boolean;      // long text
  cell: (row: T) => ComponentChildren;
}

// A table that scrolls sideways inside itself on narrow screens.
export function Grid<T>({ rows, columns, caption, id }: {
  rows: readonly T[]; columns: readonly Column<T>[]; caption: string; id?: (row: T) => string;
}) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={caption}>
      <table>
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>{columns.map((c) => <th scope="col" class={c.number ? "number" : ""}>{c.name}{c.unit ? <small> {c.unit}</small> : null}</th>)}</tr>
        </thead>
        <tbody>
          {rows.map((row, i) => (
            <tr key={id ? id(row) : i}>{columns.map((c) => <td class={c.number ? "number" : c.wrap ? "wrap" : ""}>{c.cell(row)}</td>)}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

// The answer of a call made when `key` changes; keeps the last answer while the next one is on its way.
export function useCall<T>(key: string, ask: (signal: AbortSignal) => Promise<T>): { value?: T; error?: unknown; busy: boolean } {
  const [state, setState] = useState<{ value?: T; error?: unknown; busy: boolean }>({ busy: true });
  const latest = useRef(ask);
  latest.current = ask;
  useEffect(() => {
    const abort = new AbortController();
    setState((old) => ({ ...old, busy: true }));
    latest.current(abort.signal).then(
      (value) => { if (!abort.signal.aborted) setState({ value, busy: false }); },
      (error) => { if (!abort.signal.aborted) setState({ error, busy: false }); });
    return () => abort.abort();
  }, [key]);
  return state;
}

export function Notes({ notes }: { notes: readonly string[] }) {
  if (notes.length === 0) return null;
  return (
    <details class="notes">
      <summary>{notes.length === 1 ? "1 note" : `${notes.length} notes`}</summary>
      <ul>{notes.map((note) => <li>{note}</li>)}</ul>
    </details>
  );
}

// A share as a bar behind its number.
export function ShareBar({ share, text }: { share: number; text: string }) {
  const width = Number.isFinite(share) ? Math.max(0, Math.min(1, share)) * 100 : 0;
  return <span class="share"><span style={{ width: `${width}%` }} aria-hidden="true" /><b>{text}</b></span>;
}
