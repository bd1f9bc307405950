import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "./style.css";
import { CallError, call, Sextant, token } from "./api";
import { useRoute } from "./route";
import { Compare } from "./pages/compare";
import { Job } from "./pages/job";
import { Jobs } from "./pages/jobs";
import { Service } from "./pages/service";

function App() {
  const route = useRoute();
  const [locked, setLocked] = useState(false);
  const [session, setSession] = useState(0);
  useEffect(() => {
    call(Sextant.method.describeService, {}).then(() => setLocked(false),
      (error) => setLocked(error instanceof CallError && ["UNAUTHENTICATED", "401"].includes(error.code)));
  }, [session]);
  useEffect(() => {
    document.title = route.parts.length ? `${route.parts.slice(0, 2).join(" ")} · Sextant` : "Sextant";
    document.getElementById("main")?.focus({ preventScroll: true });
  }, [route.parts.join("/")]);
  const page = route.parts[0] ?? "jobs";
  return (
    <>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById("main")?.focus(); }}>Skip to content</a>
      <header class="top">
        <a class="brand" href="#/"><img src="./icon.svg" alt="" width="22" height="22" /> Sextant</a>
        <nav aria-label="Main">
          {[["jobs", "Jobs"], ["compare", "Compare"], ["service", "Service"]].map(([id, label]) => (
            <a href={`#/${id}`} aria-current={page === id || (id === "jobs" && page === "job") ? "page" : undefined}>{label}</a>))}
        </nav>
        <ThemeButton />
      </header>
      <main id="main" tabIndex={-1} key={session}>
        {locked ? <SignIn onToken={() => setSession(session + 1)} /> :
          page === "jobs" ? <Jobs /> : page === "job" ? <Job route={route} /> : page === "compare" ? <Compare route={route} /> :
          page === "service" ? <Service /> : <div class="notice"><p>There is no such page. <a href="#/">Jobs</a></p></div>}
      </main>
    </>
  );
}

function SignIn({ onToken }: { onToken: () => void }) {
  const [value, setValue] = useState("");
  return (
    <form class="card signin" onSubmit={(e) => { e.preventDefault(); token.set(value.trim()); onToken(); }}>
      <h1>This service asks for a token</h1>
      <label>Token <input type="password" autoComplete="off" required value={value} onInput={(e) => setValue(e.currentTarget.value)} /></label>
      <button class="main">Use it</button>
      <p class="faint">Kept in this tab alone. An administrator makes one: <code>sextant token create --scope submit</code></p>
    </form>
  );
}

function ThemeButton() {
  const [theme, setTheme] = useState(localStorage.getItem("sextant-theme") ?? "");
  useEffect(() => {
    if (theme) { document.documentElement.dataset.theme = theme; localStorage.setItem("sextant-theme", theme); }
  }, [theme]);
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  return <button class="theme" onClick={() => setTheme(dark ? "light" : "dark")} aria-label={dark ? "Use light colours" : "Use dark colours"}>{dark ? "☀" : "☾"}</button>;
}

render(<App />, document.getElementById("app")!);
