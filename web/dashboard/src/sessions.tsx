// Sessions: who is logged in, and dropping them.
import { useState } from "preact/hooks";
import { part, request, Session, sessions } from "./api";
import { bytes, count, duration, system } from "./format";
import { say, usePoll, who } from "./state";
import { Action, Cell, Empty, ErrorBox, Head, Table } from "./ui";

export function Sessions() {
  const { data, error, again } = usePoll(sessions, 2000);
  const [dropping, setDropping] = useState<Session | null>(null);
  return (
    <>
      <Head title="Sessions" />
      <ErrorBox error={error} />
      {data && data.length === 0 && <section class="card"><Empty title="Nobody is logged in">
        <p>Initiators appear here as soon as they log in to a target. <a href="#/targets">How to connect</a></p></Empty></section>}
      {data && data.length > 0 && (
        <section class="card flush">
          <Table columns={["Initiator", "Target", "From", "For", "Commands", "Read", "Written", "Actions"]}>
            {data.slice(0, 500).map((session) => (
              <tr key={session.id}>
                <Cell label="Initiator" kind="strong">{session.initiator}<span class="sub">{[session.id, system(session.initiator)].filter(Boolean).join(", ")}</span></Cell>
                <Cell label="Target">{session.target ? <a href={`#/targets/${part(session.target)}`}>{session.target}</a> : <span class="hint">discovery</span>}</Cell>
                <Cell label="From" kind="tight">{session.address}</Cell>
                <Cell label="For" kind="tight">{duration(session.age_ms / 1000)}</Cell>
                <Cell label="Commands" kind="number">{count(session.commands)}</Cell>
                <Cell label="Read" kind="number">{bytes(session.read_bytes)}</Cell>
                <Cell label="Written" kind="number">{bytes(session.written_bytes)}</Cell>
                <Cell label="Actions" kind="row-actions">{who.value?.role !== "viewer" ? <button class="small" onClick={() => setDropping(session)}
                  aria-label={`Drop session ${session.id}`}>Drop</button> : <span class="hint">–</span>}</Cell>
              </tr>
            ))}
          </Table>
        </section>
      )}
      {dropping && (
        <Action title={`Drop session ${dropping.id}`} label="Drop" danger onClose={() => {
          setDropping(null);
          again();
        }} run={async () => {
          await request("DELETE", `/api/v1/sessions/${part(dropping.id)}`);
          say(`${dropping.id} is closed.`);
        }}>
          <p>The connection of <b>{dropping.initiator}</b> is closed at once. Most initiators log in again by themselves; to keep one
            out, change who may connect to the target.</p>
        </Action>
      )}
    </>
  );
}
