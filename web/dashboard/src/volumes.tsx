// Volumes: what there is, growing and deleting.
import { useState } from "preact/hooks";
import { list, part, request, Volume } from "./api";
import { bytes, joinSize, plural, sizeUnits, splitSize } from "./format";
import { canChange, say, usePoll } from "./state";
import { Action, Badge, Cell, Empty, ErrorBox, Field, Head, Icon, Table } from "./ui";

export const stateBadge = (volume: Volume) => (
  <Badge kind={volume.state === "online" ? "good" : "bad"}>{volume.state === "online" ? "Online" : volume.state === "failed" ? "Failed" : "Not open"}</Badge>
);

export function SizeInput({ id, amount, unit, onAmount, onUnit }: {
  id: string; amount: string; unit: string; onAmount: (value: string) => void; onUnit: (value: string) => void;
}) {
  return (
    <div class="joined">
      <input id={id} inputMode="decimal" value={amount} onInput={(event) => onAmount(event.currentTarget.value)} />
      <select aria-label="Unit" value={unit} onChange={(event) => onUnit(event.currentTarget.value)}>
        {sizeUnits.map((one) => <option>{one}</option>)}
      </select>
    </div>
  );
}

function Grow({ volume, onClose }: { volume: Volume; onClose: (done: boolean) => void }) {
  const now = splitSize(volume.size);
  const known = sizeUnits.includes(now.unit) ? now : { amount: volume.size / 2 ** 20, unit: "MiB" };
  const [amount, setAmount] = useState(String(known.amount * 2));
  const [unit, setUnit] = useState(known.unit);
  const size = joinSize(amount, unit);
  const whole = size !== null && size % volume.block_size === 0;
  const fault = size === null ? "A number greater than zero." : size <= volume.size ? `More than ${bytes(volume.size)}: a volume cannot shrink.`
    : whole ? "" : `A multiple of ${volume.block_size} bytes.`;
  let done = false;
  return (
    <Action title={`Grow ${volume.name}`} label="Grow" ready={fault === ""} onClose={() => onClose(done)} run={async () => {
      await request("PUT", `/api/v1/volumes/${part(volume.name)}`, { size });
      done = true;
      say(`${volume.name} has ${bytes(size ?? 0)} now.`);
    }}>
      <p>It has {bytes(volume.size)}. {volume.sessions > 0 ? `The initiators of ${plural(volume.sessions, "session")} are told at once.` : ""}</p>
      <Field label="New size" error={fault}>{(id) => (
        <SizeInput id={id} amount={amount} unit={unit} onAmount={setAmount} onUnit={setUnit} />)}</Field>
    </Action>
  );
}

function Delete({ volume, onClose }: { volume: Volume; onClose: (done: boolean) => void }) {
  const [typed, setTyped] = useState("");
  let done = false;
  return (
    <Action title={`Delete ${volume.name}`} label="Delete" danger ready={typed === volume.name} onClose={() => onClose(done)} run={async () => {
      await request("DELETE", `/api/v1/volumes/${part(volume.name)}${volume.connect.length && !volume.sessions ? "?drain=true" : ""}`);
      done = true;
      say(`${volume.name} is deleted.`);
    }}>
      <p>The volume leaves the configuration{volume.connect.length ? " and the targets that show it" : ""}.
        {volume.backend.path ? <> Its storage, <code>{volume.backend.path}</code>, stays where it is.</> : " Its content is lost."}</p>
      {volume.sessions > 0 && <p class="warning"><Icon name="warn" />{plural(volume.sessions, "session")} use it: drop them first.</p>}
      <Field label={`Type ${volume.name} to confirm`}>{(id) => (
        <input id={id} value={typed} autocomplete="off" onInput={(event) => setTyped(event.currentTarget.value)} />)}</Field>
    </Action>
  );
}

function Used({ volume }: { volume: Volume }) {
  if (volume.allocated === undefined || volume.size === 0) return <>–</>;
  const percent = Math.min(100, (volume.allocated / volume.size) * 100);
  return <span class="used"><meter min={0} max={100} value={percent} aria-label={`${Math.round(percent)} % used`} />{bytes(volume.allocated)}</span>;
}

export function Volumes() {
  const { data, error, again } = usePoll(() => list<Volume>("/api/v1/volumes"), 3000);
  const [filter, setFilter] = useState("");
  const [open, setOpen] = useState<{ what: "grow" | "delete"; volume: Volume } | null>(null);
  const close = (done: boolean) => {
    setOpen(null);
    if (done) again();
  };
  const shown = data?.filter((volume) => volume.name.includes(filter.toLowerCase())) ?? [];
  return (
    <>
      <Head title="Volumes">{canChange() && <a class="button primary" href="#/create"><Icon name="plus" />New volume</a>}</Head>
      <ErrorBox error={error} />
      {data && data.length === 0 && <section class="card"><Empty title="No volumes yet">
        <p>A volume is a disk that other machines use over the network.</p>
        {canChange() && <a class="button primary" href="#/create"><Icon name="plus" />Create the first one</a>}</Empty></section>}
      {data && data.length > 8 && <input class="filter" type="search" placeholder="Find a volume" aria-label="Find a volume" value={filter}
        onInput={(event) => setFilter(event.currentTarget.value)} />}
      {data && data.length > 0 && (
        <section class="card flush">
          <Table columns={["Name", "State", "Size", "Used", "Shown by", "Sessions", "Actions"]}>
            {shown.slice(0, 500).map((volume) => (
              <tr key={volume.name}>
                <Cell label="Name" kind="strong">{volume.name}<span class="sub">{volume.backend.type}{volume.read_only ? ", read-only" : ""}</span></Cell>
                <Cell label="State">{stateBadge(volume)}{volume.reason && <span class="sub bad">{volume.reason}</span>}</Cell>
                <Cell label="Size" kind="number">{bytes(volume.size)}</Cell>
                <Cell label="Used"><Used volume={volume} /></Cell>
                <Cell label="Shown by">{[...new Set(volume.connect.map((one) => one.target))].map((target) => (
                  <a class="block" href={`#/targets/${part(target)}`}>{target}</a>))}{volume.connect.length === 0 && <span class="hint">no target</span>}</Cell>
                <Cell label="Sessions" kind="number">{volume.sessions}</Cell>
                <Cell label="Actions" kind="row-actions">{canChange() ? <>
                  <button class="small" onClick={() => setOpen({ what: "grow", volume })} aria-label={`Grow ${volume.name}`}>Grow</button>
                  <button class="small" onClick={() => setOpen({ what: "delete", volume })} aria-label={`Delete ${volume.name}`}>Delete</button></>
                  : <span class="hint">–</span>}</Cell>
              </tr>
            ))}
          </Table>
          {shown.length > 500 && <p class="hint pad">The first 500 of {shown.length}; type a part of the name to find others.</p>}
          {shown.length === 0 && <Empty title="No volume has that name" />}
        </section>
      )}
      {open?.what === "grow" && <Grow volume={open.volume} onClose={close} />}
      {open?.what === "delete" && <Delete volume={open.volume} onClose={close} />}
    </>
  );
}
