// API tokens: for scripts, provisioners and Prometheus. The secret is shown once.
import { useState } from "preact/hooks";
import { get, part, request } from "./api";
import { say, usePoll } from "./state";
import { Action, Badge, Cell, Copy, Empty, ErrorBox, Field, Head, Icon, Table } from "./ui";

interface Token { id: string; name: string; role: string; created: string; expires_at: string | null }

const roles: [string, string][] = [
  ["viewer", "reads"], ["operator", "changes volumes, targets and sessions"], ["admin", "changes everything, tokens included"],
];
const day = (time: string) => new Date(time).toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });

function Create({ onClose, onMade }: { onClose: () => void; onMade: (secret: string) => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState("viewer");
  const [days, setDays] = useState("365");
  const fault = name === "" || /^[a-z0-9][a-z0-9._:-]{0,62}$/.test(name) ? "" : "Small letters, digits and . _ : -";
  return (
    <Action title="New token" label="Create" ready={name !== "" && fault === ""} onClose={onClose} run={async () => {
      const expires = days === "" ? null : new Date(Date.now() + Number(days) * 864e5).toISOString().slice(0, 19) + "Z";
      const made = await request<{ token: string }>("POST", "/api/v1/tokens", { name, role, expires_at: expires });
      onMade(made.token);
    }}>
      <Field label="Name" error={fault} hint="Who or what uses it: csi, prometheus, backup.">{(id) => (
        <input id={id} value={name} autocomplete="off" onInput={(event) => setName(event.currentTarget.value)} />)}</Field>
      <Field label="Role">{(id) => <select id={id} value={role} onChange={(event) => setRole(event.currentTarget.value)}>
        {roles.map(([one, text]) => <option value={one}>{one}: {text}</option>)}</select>}</Field>
      <Field label="Good for">{(id) => <select id={id} value={days} onChange={(event) => setDays(event.currentTarget.value)}>
        <option value="30">30 days</option><option value="365">a year</option><option value="">ever</option></select>}</Field>
    </Action>
  );
}

export function Tokens() {
  const { data, error, again } = usePoll(() => get<{ items: Token[] }>("/api/v1/tokens"), 10000);
  const [creating, setCreating] = useState(false);
  const [secret, setSecret] = useState("");
  const [deleting, setDeleting] = useState<Token | null>(null);
  return (
    <>
      <Head title="API tokens"><button class="primary" onClick={() => setCreating(true)}><Icon name="plus" />New token</button></Head>
      <ErrorBox error={error} />
      {secret && (
        <section class="card" aria-label="The new token">
          <h2>Copy the token now: it is not shown again</h2>
          <div class="code"><pre tabIndex={0}>{secret}</pre><Copy text={secret} label="Copy the token" /></div>
          <p class="hint">Send it as <code>Authorization: Bearer …</code>; what can be asked is in <a href="/openapi.json">/openapi.json</a>.</p>
          <div class="buttons"><button onClick={() => setSecret("")}>Done</button></div>
        </section>
      )}
      {data && data.items.length === 0 && <section class="card"><Empty title="No tokens yet">
        <p>Scripts, provisioners and Prometheus use a token instead of a password.</p></Empty></section>}
      {data && data.items.length > 0 && (
        <section class="card flush">
          <Table columns={["Name", "Role", "Made", "Good until", "Actions"]}>
            {data.items.map((token) => (
              <tr key={token.id}>
                <Cell label="Name" kind="strong">{token.name}<span class="sub">{token.id}</span></Cell>
                <Cell label="Role"><Badge kind="plain">{token.role}</Badge></Cell>
                <Cell label="Made">{day(token.created)}</Cell>
                <Cell label="Good until">{token.expires_at ? day(token.expires_at) : "for ever"}</Cell>
                <Cell label="Actions" kind="row-actions"><button class="small" onClick={() => setDeleting(token)}
                  aria-label={`Delete the token ${token.name}`}>Delete</button></Cell>
              </tr>
            ))}
          </Table>
        </section>
      )}
      {creating && <Create onClose={() => setCreating(false)} onMade={(made) => {
        setSecret(made);
        again();
      }} />}
      {deleting && (
        <Action title={`Delete the token ${deleting.name}`} label="Delete" danger onClose={() => {
          setDeleting(null);
          again();
        }} run={async () => {
          await request("DELETE", `/api/v1/tokens/${part(deleting.id)}`);
          say("The token is deleted.");
        }}>
          <p>Whatever uses it is refused from now on.</p>
        </Action>
      )}
    </>
  );
}
