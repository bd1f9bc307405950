// Calls of the service through its JSON gateway. Messages are those of proto/sextant/v1.
import {
  create, fromJson, fromJsonString, toJsonString,
  type DescMessage, type DescMethod, type MessageInitShape, type MessageShape,
} from "@bufbuild/protobuf";
import { EventSchema, type Event } from "./gen/sextant/v1/types_pb";
import { Sextant } from "./gen/sextant/v1/sextant_pb";

export { Sextant };

// What went wrong, in words made for the person who asked.
export class CallError extends Error {
  constructor(readonly code: string, message: string, readonly remedy = "") {
    super(message);
  }
}

const kTokenKey = "sextant-token";
export const token = {
  get: () => sessionStorage.getItem(kTokenKey) ?? "",
  set: (value: string) => value ? sessionStorage.setItem(kTokenKey, value) : sessionStorage.removeItem(kTokenKey),
};

export function headers(extra: Record<string, string> = {}): Record<string, string> {
  const secret = token.get();
  return secret ? { ...extra, Authorization: `Bearer ${secret}` } : extra;
}

export function path(method: DescMethod): string {
  return `api/${method.parent.typeName}/${method.name}`;
}

async function failure(response: Response): Promise<CallError> {
  const text = await response.text();
  try {
    const body = JSON.parse(text);
    const error = body.error ?? body;
    return new CallError(String(error.code ?? response.status), String(error.message ?? text), String(error.remedy ?? ""));
  } catch {
    return new CallError(String(response.status), text || response.statusText);
  }
}

// A unary method. Throws CallError; AbortError when `signal` fires.
export async function call<I extends DescMessage, O extends DescMessage>(
  method: DescMethod & { input: I; output: O }, request: MessageInitShape<I>, signal?: AbortSignal,
): Promise<MessageShape<O>> {
  let response: Response;
  try {
    response = await fetch(path(method), {
      method: "POST",
      headers: headers({ "Content-Type": "application/json" }),
      body: toJsonString(method.input, create(method.input, request)),
      signal,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new CallError("UNAVAILABLE", "The service does not answer.", "See whether it runs: sextant up.");
  }
  if (!response.ok) throw await failure(response);
  return fromJsonString(method.output, await response.text(), { ignoreUnknownFields: true });
}

// The bytes of a streaming download (ExportTrace, GetBlob). `query` names the request's fields.
export async function download(method: DescMethod, query: Record<string, string | bigint>): Promise<Blob> {
  const search = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  const response = await fetch(`${path(method)}?${search}`, { headers: headers() });
  if (!response.ok) throw await failure(response);
  return response.blob();
}

export const hex = (data: Uint8Array) => Array.from(data, (b) => b.toString(16).padStart(2, "0")).join("");

// Follows a job's events until it ends or `signal` fires; reconnects from the last event seen.
export async function watch(jobId: bigint, onEvent: (event: Event) => void, signal: AbortSignal): Promise<void> {
  let seq = 0n;
  let wait_ms = 500;
  while (!signal.aborted) {
    try {
      const response = await fetch(`${path(Sextant.method.watchJob)}?job_id=${jobId}&after_seq=${seq}`,
        { headers: headers({ Accept: "text/event-stream" }), signal });
      if (!response.ok || !response.body) throw await failure(response);
      wait_ms = 500;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const messages = (rest + value).split(/\r?\n\r?\n/);
        rest = messages.pop() ?? "";
        for (const message of messages) {
          const data = message.split(/\r?\n/).filter((line) => line.startsWith("data:"))
            .map((line) => line.slice(5).trimStart()).join("\n");
          const kind = /^event:\s*(.*)$/m.exec(message)?.[1];
          if (kind === "end") return;
          if (!data || (kind && kind !== "message" && kind !== "event")) continue;
          const event = fromJson(EventSchema, JSON.parse(data), { ignoreUnknownFields: true });
          seq = event.seq;
          onEvent(event);
        }
      }
      return;   // the stream ends with the job
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof CallError && ["NOT_FOUND", "UNAUTHENTICATED", "PERMISSION_DENIED"].includes(error.code)) throw error;
      await new Promise((done) => setTimeout(done, wait_ms));
      wait_ms = Math.min(wait_ms * 2, 10_000);
    }
  }
}
