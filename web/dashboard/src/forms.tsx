// The two pages before anybody is known: the first setup and the login.
import { useState } from "preact/hooks";
import { ApiError, request } from "./api";
import { asError, go, place, refreshWho } from "./state";
import { ErrorBox, Field, Icon } from "./ui";

const passwordMin = 10;

function Gate({ title, text, label, onSubmit, ready, children }: {
  title: string; text: string; label: string; onSubmit: () => Promise<void>; ready: boolean; children: preact.ComponentChildren;
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await onSubmit();
    } catch (thrown) {
      setError(asError(thrown));
    }
    setBusy(false);
  };
  return (
    <main class="gate">
      <form class="card" onSubmit={submit}>
        <div class="brand big"><img src="/favicon.svg" alt="" />Lunaris</div>
        <h1>{title}</h1>
        <p class="hint">{text}</p>
        {children}
        <ErrorBox error={error} />
        <button class="primary wide" disabled={busy || !ready}>{busy ? "One moment …" : label}</button>
      </form>
    </main>
  );
}

export function Setup() {
  const token = place.value.query.get("token") ?? "";
  const [user, setUser] = useState("admin");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  if (!token) {
    return (
      <main class="gate">
        <div class="card">
          <div class="brand big"><img src="/favicon.svg" alt="" />Lunaris</div>
          <h1>Not set up yet</h1>
          <p>Nobody has access to this server so far. It has written a one-time link to its log, for whoever runs it:</p>
          <div class="code"><pre>{location.origin}/#/setup?token=…</pre></div>
          <p class="hint"><Icon name="warn" /> The link is new after each start of the server. There is no default password.</p>
        </div>
      </main>
    );
  }
  const differ = again !== "" && again !== password;
  return (
    <Gate title="Welcome" text="Make the first administrator of this server. The link you opened works once."
      label="Set up" ready={user !== "" && password.length >= passwordMin && again === password}
      onSubmit={async () => {
        await request("POST", "/api/v1/setup", { token, username: user, password });
        go("overview");
        await refreshWho();
      }}>
      <Field label="User name">{(id) => (
        <input id={id} value={user} autocomplete="username" onInput={(event) => setUser(event.currentTarget.value)} />)}</Field>
      <Field label="Password" hint={`At least ${passwordMin} characters.`}>{(id) => (
        <input id={id} type="password" value={password} autocomplete="new-password"
          onInput={(event) => setPassword(event.currentTarget.value)} />)}</Field>
      <Field label="Password, again" error={differ ? "The two are not the same." : ""}>{(id) => (
        <input id={id} type="password" value={again} autocomplete="new-password"
          onInput={(event) => setAgain(event.currentTarget.value)} />)}</Field>
    </Gate>
  );
}

export function Login() {
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  return (
    <Gate title="Log in" text={`To the storage server at ${location.host}.`} label="Log in" ready={user !== "" && password !== ""}
      onSubmit={async () => {
        await request("POST", "/api/v1/session", { username: user, password });
        await refreshWho();
      }}>
      <Field label="User name">{(id) => (
        <input id={id} value={user} autocomplete="username" autofocus onInput={(event) => setUser(event.currentTarget.value)} />)}</Field>
      <Field label="Password">{(id) => (
        <input id={id} type="password" value={password} autocomplete="current-password"
          onInput={(event) => setPassword(event.currentTarget.value)} />)}</Field>
    </Gate>
  );
}
