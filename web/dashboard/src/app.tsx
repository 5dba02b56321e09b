// The frame around the pages: navigation, health, theme; and which page it is.
import { useEffect, useState } from "preact/hooks";
import { get, request, System, whenLoggedOut } from "./api";
import { Login, Setup } from "./forms";
import { Overview } from "./overview";
import { Sessions } from "./sessions";
import { offline, place, refreshWho, system, toast, usePoll, who } from "./state";
import { TargetPage, Targets } from "./targets";
import { Tokens } from "./tokens";
import { Icon } from "./ui";
import { Volumes } from "./volumes";
import { Wizard } from "./wizard";

const pages = [
  { path: "overview", title: "Overview" }, { path: "volumes", title: "Volumes" }, { path: "targets", title: "Targets" },
  { path: "sessions", title: "Sessions" }, { path: "tokens", title: "Tokens" },
];
const visible = () => pages.filter((page) => page.path !== "tokens" || who.value?.role === "admin");

whenLoggedOut(() => {
  if (who.value?.authenticated) who.value = { authenticated: false, setup_required: false };
});

const themes = ["auto", "light", "dark"];
function useTheme(): [string, () => void] {
  const [theme, setTheme] = useState(() => localStorage.getItem("theme") ?? "auto");
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
  }, [theme]);
  return [theme, () => setTheme(themes[(themes.indexOf(theme) + 1) % themes.length])];
}

function Page() {
  const { page, name } = place.value;
  if (page === "volumes") return <Volumes />;
  if (page === "targets" && name) return <TargetPage name={name} key={name} />;
  if (page === "targets") return <Targets />;
  if (page === "sessions") return <Sessions />;
  if (page === "tokens") return <Tokens />;
  if (page === "create") return <Wizard />;
  return <Overview />;
}

function Frame() {
  const [theme, nextTheme] = useTheme();
  const { data, error } = usePoll(() => get<System>("/api/v1/system"), 3000);
  useEffect(() => {
    if (data) system.value = data;
    offline.value = error && error.status === 0 ? error.message : "";
  }, [data, error]);
  const current = place.value.page;
  useEffect(() => {
    document.title = `${pages.find((page) => page.path === current)?.title ?? "New volume"} · Lunaris`;
  }, [current]);
  const health = offline.value ? "bad" : system.value?.health === "degraded" ? "warn" : "good";
  const logOut = async () => {
    await request("DELETE", "/api/v1/session").catch(() => {});
    await refreshWho();
  };
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={(event) => {
        event.preventDefault();
        document.getElementById("main")?.focus();
      }}>Skip to the content</a>
      <nav aria-label="Pages">
        <a class="brand" href="#/overview"><img src="/favicon.svg" alt="" />Lunaris<span class={`dot ${health}`}
          title={offline.value || system.value?.health} /></a>
        <ul>
          {visible().map((page) => (
            <li><a href={`#/${page.path}`} aria-current={current === page.path ? "page" : undefined}>
              <Icon name={page.path} />{page.title}</a></li>
          ))}
        </ul>
        <div class="foot">
          <button class="quiet" onClick={nextTheme} title="Colours"><Icon name="theme" /><span>Theme: {theme}</span></button>
          <button class="quiet" onClick={() => void logOut()} title="Log out"><Icon name="exit" /><span>Log out {who.value?.name}</span></button>
        </div>
      </nav>
      <main id="main" tabIndex={-1}>
        {offline.value && <div class="error" role="alert"><Icon name="warn" /><div>{offline.value} Trying again …</div></div>}
        {system.value && system.value.managed_by !== "api" && (
          <div class="note"><Icon name="warn" /><div>This server is managed by the file <code>{system.value.managed_by}</code>:
            change that file and reload. Here you can look.</div></div>
        )}
        <Page />
      </main>
      <div class="toasts" role="status" aria-live="polite">
        {toast.value && <div class={`toast ${toast.value.bad ? "bad" : ""}`}>{toast.value.text}</div>}
      </div>
    </div>
  );
}

export function App() {
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    refreshWho().catch(() => setFailed(true));
  }, []);
  if (failed) return <main class="gate"><div class="card"><h1>No answer</h1><p>The server does not answer. Reload the page to try again.</p></div></main>;
  if (!who.value) return null;
  if (who.value.authenticated) return <Frame />;
  return who.value.setup_required ? <Setup /> : <Login />;
}
