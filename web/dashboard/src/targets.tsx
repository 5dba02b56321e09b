// Targets: what initiators log in to, which LUNs they find there, who may.
import { useState } from "preact/hooks";
import { ApiError, get, list, Lun, part, request, sessions as allSessions, Target, Volume } from "./api";
import { Connect } from "./connect";
import { bytes, duration, plural } from "./format";
import { asError, canChange, go, say, usePoll } from "./state";
import { Action, Badge, Cell, Copy, Empty, ErrorBox, Field, Head, Icon, Table } from "./ui";

const path = (name: string) => `/api/v1/targets/${part(name)}`;
export const namePrefix = "iqn.2026-01.io.lunaris:";

function Create({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState(namePrefix);
  return (
    <Action title="New target" label="Create" ready={name.length > namePrefix.length || !name.startsWith(namePrefix)} onClose={onClose} run={async () => {
      await request("PUT", path(name.trim()), {}, { "If-None-Match": "*" });
      go(`targets/${part(name.trim().toLowerCase())}`);
    }}>
      <Field label="Name" hint="An iSCSI name: iqn.YEAR-MONTH.reversed.domain:anything">{(id) => (
        <input id={id} value={name} onInput={(event) => setName(event.currentTarget.value)} />)}</Field>
    </Action>
  );
}

export function Targets() {
  const { data, error } = usePoll(() => list<Target>("/api/v1/targets"), 3000);
  const [creating, setCreating] = useState(false);
  return (
    <>
      <Head title="Targets">{canChange() && <button class="primary" onClick={() => setCreating(true)}><Icon name="plus" />New target</button>}</Head>
      <ErrorBox error={error} />
      {data && data.length === 0 && <section class="card"><Empty title="No targets yet">
        <p>A target is what initiators log in to; it shows them one or more volumes.</p>
        {canChange() && <a class="button primary" href="#/create"><Icon name="plus" />Create a volume with its target</a>}</Empty></section>}
      {data && data.length > 0 && (
        <section class="card flush">
          <Table columns={["Name", "Volumes", "Who may connect", "Sessions"]}>
            {data.map((target) => (
              <tr key={target.name}>
                <Cell label="Name" kind="strong"><a href={`#/targets/${part(target.name)}`}>{target.name}</a>
                  {target.alias && <span class="sub">{target.alias}</span>}</Cell>
                <Cell label="Volumes">{Object.values(target.luns).map((lun) => lun.volume).join(", ") || <span class="hint">none</span>}</Cell>
                <Cell label="Who may connect">{target.initiators.length ? plural(target.initiators.length, "initiator") : "everybody"}</Cell>
                <Cell label="Sessions" kind="number">{target.sessions}</Cell>
              </tr>
            ))}
          </Table>
        </section>
      )}
      {creating && <Create onClose={() => setCreating(false)} />}
    </>
  );
}

function AddLun({ target, onClose }: { target: Target; onClose: (done: boolean) => void }) {
  const { data } = usePoll(() => list<Volume>("/api/v1/volumes"), 10000);
  const free = [...Array(16384).keys()].find((number) => !(number in target.luns)) ?? 0;
  const [lun, setLun] = useState(String(free));
  const [volume, setVolume] = useState("");
  const [readOnly, setReadOnly] = useState(false);
  const shown = Object.values(target.luns).map((one) => one.volume);
  const choices = data?.filter((one) => !shown.includes(one.name)) ?? [];
  const chosen = volume || choices[0]?.name || "";
  const fault = !/^\d+$/.test(lun) || Number(lun) > 16383 ? "A number from 0 to 16383." : lun in target.luns ? "This LUN is taken." : "";
  let done = false;
  return (
    <Action title="Show a volume" label="Add" ready={chosen !== "" && fault === ""} onClose={() => onClose(done)} run={async () => {
      await request("PUT", `${path(target.name)}/luns/${Number(lun)}`, { volume: chosen, read_only: readOnly });
      done = true;
      say(`${chosen} is LUN ${Number(lun)} now.`);
    }}>
      {data && choices.length === 0 ? <p>Every volume is shown here already. <a href="#/create">Create another one</a></p> : <>
        <Field label="Volume">{(id) => <select id={id} value={chosen} onChange={(event) => setVolume(event.currentTarget.value)}>
          {choices.map((one) => <option value={one.name}>{one.name} ({bytes(one.size)})</option>)}</select>}</Field>
        <Field label="LUN" error={fault} hint={Number(lun) > 255 ? "Some initiators find no LUN above 255." : "The number under which initiators find it."}>{(id) => (
          <input id={id} inputMode="numeric" value={lun} onInput={(event) => setLun(event.currentTarget.value)} />)}</Field>
        <label class="check"><input type="checkbox" checked={readOnly} onChange={(event) => setReadOnly(event.currentTarget.checked)} />Read-only</label>
      </>}
    </Action>
  );
}

// Rules with addresses, CHAP or LUNs of their own are more than a list of names: shown here, changed in the configuration.
function Rules({ target }: { target: Target }) {
  return (
    <section class="card" aria-label="Who may connect">
      <div class="card-head"><h2>Who may connect</h2><Badge kind="good">{plural(target.initiators.length, "rule")}</Badge></div>
      <ul>{target.initiators.map((rule) => <li><code>{typeof rule === "string" ? rule : JSON.stringify(rule)}</code></li>)}</ul>
      <p>These rules name addresses, users or LUNs. Change them in the configuration: <code>lunaris ctl config apply</code>.</p>
    </section>
  );
}

function Access({ target, onDone }: { target: Target; onDone: () => void }) {
  const [text, setText] = useState(target.initiators.join("\n"));
  const [error, setError] = useState<ApiError | null>(null);
  const names = text.split(/[\s,]+/).filter(Boolean);
  const changed = names.join("\n").toLowerCase() !== target.initiators.join("\n");
  const save = async (event: Event) => {
    event.preventDefault();
    try {
      await request("PUT", path(target.name), { initiators: names });
      setError(null);
      setText(names.map((name) => name.toLowerCase()).join("\n"));
      say("Saved. It counts from the next login on.");
      onDone();
    } catch (thrown) {
      setError(asError(thrown));
    }
  };
  return (
    <section class="card" aria-label="Who may connect">
      <div class="card-head"><h2>Who may connect</h2><Badge kind={target.initiators.length ? "good" : "plain"}>{target.initiators.length ? plural(target.initiators.length, "initiator") : "everybody"}</Badge></div>
      <form onSubmit={save}>
        <Field label="Initiator names" hint="One a line; empty: everybody who can reach the portal.">{(id) => (
          <textarea id={id} rows={Math.min(8, names.length + 2)} value={text} spellcheck={false} disabled={!canChange()}
            onInput={(event) => setText(event.currentTarget.value)} />)}</Field>
        <ErrorBox error={error} />
        {changed && <div class="buttons"><button type="button" class="quiet" onClick={() => setText(target.initiators.join("\n"))}>Undo</button>
          <button class="primary">Save</button></div>}
      </form>
    </section>
  );
}

function RemoveLun({ target, lun, onClose }: { target: Target; lun: string; onClose: (done: boolean) => void }) {
  let done = false;
  return (
    <Action title={`Take LUN ${lun} away`} label="Take away" danger onClose={() => onClose(done)} run={async () => {
      await request("DELETE", `${path(target.name)}/luns/${lun}${target.sessions ? "?drain=true" : ""}`);
      done = true;
    }}>
      <p>The volume <b>{target.luns[lun]?.volume}</b> stays; this target does not show it any more.</p>
      {target.sessions > 0 && <p class="warning"><Icon name="warn" />{plural(target.sessions, "session")} lose the disk at once.</p>}
    </Action>
  );
}

function DeleteTarget({ target, onClose }: { target: Target; onClose: () => void }) {
  const [typed, setTyped] = useState("");
  const end = target.name.slice(target.name.indexOf(":") + 1);
  return (
    <Action title="Delete the target" label="Delete" danger ready={typed === end} onClose={onClose} run={async () => {
      await request("DELETE", path(target.name) + (target.sessions ? "?drain=true" : ""));
      go("targets");
    }}>
      <p>Initiators cannot log in to <code>{target.name}</code> any more. Its volumes stay.</p>
      {target.sessions > 0 && <p class="warning"><Icon name="warn" />{plural(target.sessions, "session")} are closed at once.</p>}
      <Field label={`Type ${end} to confirm`}>{(id) => (
        <input id={id} value={typed} autocomplete="off" onInput={(event) => setTyped(event.currentTarget.value)} />)}</Field>
    </Action>
  );
}

function Luns({ target, onAdd, onRemove }: { target: Target; onAdd: () => void; onRemove: (lun: string) => void }) {
  const luns: [string, Lun][] = Object.entries(target.luns);
  return (
    <section class="card" aria-label="LUNs">
      <div class="card-head"><h2>Volumes</h2>{canChange() && <button class="small" onClick={onAdd}><Icon name="plus" />Show a volume</button>}</div>
      {luns.length === 0 ? <Empty title="This target shows no volume"><p>Initiators that log in find no disk.</p></Empty> : (
        <Table columns={["LUN", "Volume", "Access", "Actions"]}>
          {luns.map(([number, lun]) => (
            <tr key={number}>
              <Cell label="LUN" kind="strong">{number}</Cell>
              <Cell label="Volume">{lun.volume}</Cell>
              <Cell label="Access">{lun.read_only ? "read-only" : "read and write"}</Cell>
              <Cell label="Actions" kind="row-actions">{canChange() ? <button class="small" onClick={() => onRemove(number)}
                aria-label={`Take away LUN ${number}`}>Take away</button> : <span class="hint">–</span>}</Cell>
            </tr>
          ))}
        </Table>
      )}
    </section>
  );
}

export function TargetPage({ name }: { name: string }) {
  const { data: target, error, again } = usePoll(() => get<Target>(path(name)), 3000, name);
  const { data: sessions } = usePoll(allSessions, 3000);
  const [open, setOpen] = useState("");
  const close = (done: boolean) => {
    setOpen("");
    if (done) again();
  };
  if (error && !target) return <><Head title="Target" /><ErrorBox error={error} /><p><a href="#/targets">All targets</a></p></>;
  if (!target) return null;
  const here = sessions?.filter((session) => session.target === target.name) ?? [];
  const first = Number(Object.keys(target.luns)[0] ?? 0);
  return (
    <>
      <p class="crumbs"><a href="#/targets">Targets</a></p>
      <Head title={<span class="name">{target.name}<Copy text={target.name} label="Copy the name" /></span>}>
        {canChange() && <button onClick={() => setOpen("delete")}><Icon name="trash" />Delete</button>}</Head>
      <div class="columns">
        <Luns target={target} onAdd={() => setOpen("add")} onRemove={(lun) => setOpen(`lun ${lun}`)} />
        {target.initiators.every((rule) => typeof rule === "string")
          ? <Access target={target} onDone={again} key={target.initiators.join()} />
          : <Rules target={target} />}
      </div>
      {target.connect.length > 0 ? <Connect portals={target.connect.map((one) => one.portal)} target={target.name} lun={first} />
        : <section class="card"><Empty title="No portal leads to this target" /></section>}
      <section class="card" aria-label="Sessions">
        <h2>Sessions</h2>
        {here.length === 0 ? <p class="hint">Nobody is logged in.</p> : (
          <Table columns={["Initiator", "From", "For", "Read", "Written"]}>
            {here.map((session) => (
              <tr key={session.id}>
                <Cell label="Initiator" kind="strong">{session.initiator}</Cell><Cell label="From" kind="tight">{session.address}</Cell>
                <Cell label="For" kind="tight">{duration(session.age_ms / 1000)}</Cell><Cell label="Read" kind="number">{bytes(session.read_bytes)}</Cell>
                <Cell label="Written" kind="number">{bytes(session.written_bytes)}</Cell>
              </tr>
            ))}
          </Table>
        )}
      </section>
      {open === "add" && <AddLun target={target} onClose={close} />}
      {open.startsWith("lun ") && <RemoveLun target={target} lun={open.slice(4)} onClose={close} />}
      {open === "delete" && <DeleteTarget target={target} onClose={() => setOpen("")} />}
    </>
  );
}
