// The address bar is the state of the page: "#/job/12/timeline?task=a&kernel=b".
import { useEffect, useState } from "preact/hooks";

export interface Route {
  parts: string[];
  query: URLSearchParams;
}

export function parse(hash: string): Route {
  const [head, tail] = hash.replace(/^#\/?/, "").split("?", 2);
  return {
    parts: (head ?? "").split("/").filter(Boolean).map(decodeURIComponent),
    query: new URLSearchParams(tail ?? ""),
  };
}

export function href(parts: readonly (string | number | bigint)[], query: Record<string, string> = {}): string {
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "")).toString();
  return `#/${parts.map((p) => encodeURIComponent(String(p))).join("/")}${search ? `?${search}` : ""}`;
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parse(location.hash));
  useEffect(() => {
    const changed = () => setRoute(parse(location.hash));
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}
