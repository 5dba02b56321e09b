// The pieces that pages are made of.
import { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { ApiError } from "./api";
import { asError, say } from "./state";

const paths: Record<string, string> = {
  overview: "M3 12l4-5 4 4 6-8M3 17h14", volumes: "M4 5c0-3 12-3 12 0v10c0 3-12 3-12 0zM4 5c0 3 12 3 12 0M4 10c0 3 12 3 12 0",
  targets: "M10 2v4M10 14v4M2 10h4M14 10h4M10 15a5 5 0 1 0 0-10 5 5 0 0 0 0 10z",
  sessions: "M6 3v5a4 4 0 0 0 8 0V3M10 12v5M4 3h4M12 3h4", tokens: "M12 9a4 4 0 1 0-3-1l-6 6v3h3v-2h2v-2h2l2-2M13 6h.5", plus: "M10 4v12M4 10h12", copy: "M7 7V3h10v10h-4M3 7h10v10H3z",
  theme: "M10 3a7 7 0 1 0 7 7 5 5 0 0 1-7-7z", exit: "M8 4H4v12h4M12 6l4 4-4 4M16 10H8", trash: "M4 6h12M8 6V4h4v2M6 6l1 11h6l1-11",
  warn: "M10 3l8 14H2zM10 8v4M10 14.5v.5", check: "M4 10l4 4 8-9",
};
export const Icon = ({ name }: { name: string }) => (
  <svg class="icon" viewBox="0 0 20 20" aria-hidden="true"><path d={paths[name]} /></svg>
);

export const Badge = ({ kind, children }: { kind: string; children: ComponentChildren }) => (
  <span class={`badge ${kind}`}>{children}</span>
);

export const Empty = ({ title, children }: { title: string; children?: ComponentChildren }) => (
  <div class="empty"><p class="empty-title">{title}</p>{children}</div>
);

/// A refusal in the server's words. Nothing when there is none.
export function ErrorBox({ error }: { error: ApiError | null }) {
  if (!error) return null;
  return (
    <div class="error" role="alert">
      <Icon name="warn" />
      <div>
        <strong>{error.title}.</strong> {error.message}
        {error.errors.length > 1 && (
          <ul>{error.errors.map((one) => <li><code>{one.pointer || "/"}</code> {one.detail}</li>)}</ul>
        )}
        {error.fix && <p class="fix">{error.fix}</p>}
      </div>
    </div>
  );
}

export function Field({ label, hint, error, children }:
{ label: string; hint?: ComponentChildren; error?: string; children: (id: string) => ComponentChildren }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children(id)}
      {error ? <p class="hint bad" role="alert">{error}</p> : hint && <p class="hint">{hint}</p>}
    </div>
  );
}

export function Head({ title, children }: { title: ComponentChildren; children?: ComponentChildren }) {
  return <header class="head"><h1>{title}</h1><div class="actions">{children}</div></header>;
}

export async function copyText(text: string) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // plain HTTP on another machine: the old way
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say("Copied.");
}

export const Copy = ({ text, label }: { text: string; label: string }) => (
  <button type="button" class="quiet small" aria-label={label} title={label} onClick={() => void copyText(text)}>
    <Icon name="copy" />
  </button>
);

/// A modal dialog; the browser keeps the focus in it and closes it on Escape.
export function Dialog({ title, onClose, children }:
{ title: string; onClose: () => void; children: ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => element.current?.showModal(), []);
  return (
    <dialog ref={element} aria-labelledby={id} onClose={onClose}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

/// A form in a dialog that does one thing; closes when that has worked.
export function Action({ title, label, danger = false, ready = true, run, onClose, children }: {
  title: string; label: string; danger?: boolean; ready?: boolean; run: () => Promise<unknown>; onClose: () => void;
  children: ComponentChildren;
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await run();
      onClose();
    } catch (thrown) {
      setError(asError(thrown));
    }
    setBusy(false);
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={submit}>
        {children}
        <ErrorBox error={error} />
        <div class="buttons">
          <button type="button" class="quiet" onClick={onClose}>Cancel</button>
          <button class={danger ? "danger" : "primary"} disabled={busy || !ready}>{label}</button>
        </div>
      </form>
    </Dialog>
  );
}

/// A table that becomes a list of cards on a narrow screen.
export function Table({ columns, children }: { columns: string[]; children: ComponentChildren }) {
  return (
    <div class="table">
      <table>
        <thead><tr>{columns.map((name) => <th scope="col">{name}</th>)}</tr></thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
export const Cell = ({ label, children, kind = "" }: { label: string; children: ComponentChildren; kind?: string }) => (
  <td data-label={label} class={kind}>{children}</td>
);
