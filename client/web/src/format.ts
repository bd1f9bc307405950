// Numbers and times as people read them.

export const kUnknown = "—";

// 1.5 ms, 320 ns. Three significant digits.
export function ns(value: number): string {
  if (!Number.isFinite(value)) return kUnknown;
  const size = Math.abs(value);
  if (size >= 1e9) return `${significant(value / 1e9)} s`;
  if (size >= 1e6) return `${significant(value / 1e6)} ms`;
  if (size >= 1e3) return `${significant(value / 1e3)} µs`;
  return `${significant(value)} ns`;
}

export function significant(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return kUnknown;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e15 || size < 1e-4) return value.toExponential(digits - 1);
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  const text = value.toFixed(Math.min(decimals, 12));
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

export function count(value: number | bigint): string {
  return typeof value === "number" && !Number.isFinite(value) ? kUnknown : value.toLocaleString("en");
}

// With an SI prefix: 1.2 T, 34 G.
export function si(value: number, unit = ""): string {
  if (!Number.isFinite(value)) return kUnknown;
  const size = Math.abs(value);
  for (const [factor, prefix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]] as const)
    if (size >= factor) return `${significant(value / factor)} ${prefix}${unit}`;
  return unit ? `${significant(value)} ${unit}` : significant(value);
}

export function percent(share: number): string {
  return Number.isFinite(share) ? `${significant(share * 100)} %` : kUnknown;
}

export function bytes(value: number | bigint): string {
  const size = Number(value);
  if (size >= 2 ** 30) return `${significant(size / 2 ** 30)} GiB`;
  if (size >= 2 ** 20) return `${significant(size / 2 ** 20)} MiB`;
  if (size >= 2 ** 10) return `${significant(size / 2 ** 10)} KiB`;
  return `${size} B`;
}

export function when(unix_ns: bigint): string {
  return unix_ns ? new Date(Number(unix_ns / 1_000_000n)).toLocaleString() : kUnknown;
}

export function took(start_ns: bigint, end_ns: bigint): string {
  if (!start_ns) return kUnknown;
  const end = end_ns || BigInt(Date.now()) * 1_000_000n;
  return ns(Number(end > start_ns ? end - start_ns : 0n));
}

// What came from a workload may hold anything: control and direction characters are shown, not obeyed.
export function plain(text: string, limit = 200): string {
  const shown = text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return shown.length > limit ? `${shown.slice(0, limit - 1)}…` : shown;
}

// A kernel's name without template arguments and parameters, for labels.
export function shortKernel(name: string): string {
  let depth = 0;
  let out = "";
  for (const c of name) {
    if (c === "<" || c === "(") ++depth;
    else if (c === ">" || c === ")") --depth;
    else if (depth === 0) out += c;
  }
  return plain(out.trim().replace(/^void /, "") || name, 60);
}
