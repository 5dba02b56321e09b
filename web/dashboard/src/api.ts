// The API as functions and types; every failure is an ApiError with the server's own words.
export interface Volume {
  name: string; size: number; allocated?: number; state: string; reason?: string; sessions: number; read_only: boolean;
  block_size: number; backend: { type: string; path?: string }; uuid?: string;
  connect: { portal: string; target: string; lun: number }[];
}
export interface Lun { volume: string; read_only: boolean }
export interface Target {
  name: string; alias: string; luns: Record<string, Lun>; initiators: (string | object)[]; portals: string[]; sessions: number;
  connect: { portal: string }[];
}
export interface Session {
  id: string; initiator: string; target: string; address: string; commands: number; read_bytes: number;
  written_bytes: number; age_ms: number;
}
export interface System {
  version: string; health: string; uptime_seconds: number; revision: number; managed_by: string; sessions: number;
  volumes: number; targets: number; portals: number; problems: { pointer: string; reason: string }[];
}
export interface Activity { reads: number; writes: number; read_bytes: number; written_bytes: number }
export interface Stats {
  time_ms: number; step_seconds: number;
  series: { reads: number[]; writes: number[]; read_bytes: number[]; written_bytes: number[] };
  volumes: { name: string; rates: Activity; totals: Activity }[];
}
export interface Who { authenticated: boolean; setup_required: boolean; name?: string; role?: string }

export class ApiError extends Error {
  constructor(readonly status: number, readonly title: string, detail: string, readonly fix: string,
    readonly errors: { pointer: string; detail: string }[]) {
    super(detail.charAt(0).toUpperCase() + detail.slice(1));
  }
}

/// Called when the server does not know us any more.
let onLoggedOut = () => {};
export function whenLoggedOut(callback: () => void) {
  onLoggedOut = callback;
}

export async function request<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}):
Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method, cache: "no-store", credentials: "same-origin",
      headers: {
        "X-Requested-With": "lunaris", ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError(0, "No answer", "The server does not answer.", "Is it running, and the network up?", []);
  }
  if (response.ok) return (response.status === 204 ? undefined : await response.json()) as T;
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401 && problem.type === "/problems/not-logged-in") onLoggedOut();
  throw new ApiError(response.status, problem.title ?? "The request failed", problem.detail ?? `Status ${response.status}.`,
    problem.fix ?? "", problem.errors ?? []);
}

export const get = <T,>(path: string) => request<T>("GET", path);
export const part = encodeURIComponent;

/// Every page of a list.
export async function list<T>(path: string): Promise<T[]> {
  const items: T[] = [];
  let token: string | null = null;
  do {
    const more: string = token === null ? "" : `&page_token=${part(token)}`;
    const page: { items: T[]; next_page_token?: string | null } = await get(`${path}?limit=1000${more}`);
    items.push(...page.items);
    token = page.next_page_token ?? null;
  } while (token !== null);
  return items;
}

/// Sessions come in one piece.
export const sessions = async () => (await get<{ items: Session[] }>("/api/v1/sessions")).items;
