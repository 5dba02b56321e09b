// What every page shares: who is logged in, where we are, how the server is.
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, get, System, Who } from "./api";

export const who = signal<Who | null>(null);
export const system = signal<System | null>(null);
export const offline = signal("");
export const toast = signal<{ text: string; bad: boolean } | null>(null);

export interface Place { page: string; name: string; query: URLSearchParams }
const readPlace = (): Place => {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [page, ...rest] = path.split("/");
  return { page: page || "overview", name: decodeURIComponent(rest.join("/")), query: new URLSearchParams(query) };
};
export const place = signal(readPlace());
addEventListener("hashchange", () => {
  place.value = readPlace();
  scrollTo(0, 0);
});
export const go = (path: string) => {
  location.hash = `#/${path}`;
};

let toastTimer = 0;
export function say(text: string, bad = false) {
  toast.value = { text, bad };
  clearTimeout(toastTimer);
  toastTimer = window.setTimeout(() => {
    toast.value = null;
  }, 6000);
}

export const canChange = () => who.value?.role !== "viewer" && system.value?.managed_by === "api";

export const asError = (thrown: unknown): ApiError =>
  thrown instanceof ApiError ? thrown : new ApiError(0, "Something went wrong", String(thrown), "Reload the page.", []);

export async function refreshWho() {
  who.value = await get<Who>("/api/v1/session");
}

/// Asks again and again while the page is visible. `again` asks at once.
export function usePoll<T>(ask: () => Promise<T>, milliseconds: number, key = ""):
{ data: T | null; error: ApiError | null; again: () => void } {
  const [data, setData] = useState<T | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [round, setRound] = useState(0);
  const latest = useRef(ask);
  latest.current = ask;
  useEffect(() => setData(null), [key]);
  useEffect(() => {
    let ended = false;
    let timer = 0;
    const next = async () => {
      if (!document.hidden) {
        try {
          const answer = await latest.current();
          if (ended) return;
          setData(() => answer);
          setError(null);
        } catch (thrown) {
          if (ended) return;
          setError(asError(thrown));
        }
      }
      timer = window.setTimeout(next, milliseconds);
    };
    void next();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [key, round, milliseconds]);
  return { data, error, again: () => setRound((value) => value + 1) };
}
