// A new volume on one screen: name, size, who may connect. Ends with how to connect.
import { useState } from "preact/hooks";
import { ApiError, part, request, Volume } from "./api";
import { Connect } from "./connect";
import { bytes, joinSize } from "./format";
import { asError } from "./state";
import { namePrefix } from "./targets";
import { ErrorBox, Field, Head, Icon } from "./ui";
import { SizeInput } from "./volumes";

const goodName = /^[a-z0-9][a-z0-9._:-]{0,62}$/;

function Done({ volume, onAgain }: { volume: Volume; onAgain: () => void }) {
  const first = volume.connect[0];
  const same = volume.connect.filter((one) => one.target === first?.target);
  const good = volume.state === "online";
  return (
    <>
      <Head title={good ? `${volume.name} is ready` : `${volume.name} is not open`}>
        <button onClick={onAgain}><Icon name="plus" />Another one</button><a class="button" href="#/volumes">All volumes</a></Head>
      <section class={`health card ${good ? "good" : "warn"}`}><Icon name={good ? "check" : "warn"} /><div>
        <strong>{bytes(volume.size)} on {first ? `LUN ${first.lun} of ${first.target}` : "no target yet"}</strong>
        <span class="hint">{good ? "Initiators that may connect find it now." : volume.reason}</span></div></section>
      {first && <Connect portals={same.map((one) => one.portal)} target={first.target} lun={first.lun} />}
    </>
  );
}

export function Wizard() {
  const [name, setName] = useState("");
  const [amount, setAmount] = useState("10");
  const [unit, setUnit] = useState("GiB");
  const [everybody, setEverybody] = useState(true);
  const [initiators, setInitiators] = useState("");
  const [target, setTarget] = useState("");
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  const [made, setMade] = useState<Volume | null>(null);
  const size = joinSize(amount, unit);
  const names = initiators.split(/[\s,]+/).filter(Boolean);
  const nameFault = name === "" || goodName.test(name) ? "" : "Small letters, digits and . _ : - ; it begins with a letter or digit.";
  const sizeFault = size === null ? "A number greater than zero." : size % 4096 ? "A multiple of 4096 bytes." : "";
  const ready = name !== "" && !nameFault && !sizeFault && (everybody || names.length > 0);
  const create = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      setMade(await request<Volume>("PUT", `/api/v1/volumes/${part(name)}`, {
        size, expose: { target: target.trim() || namePrefix + name, ...(everybody ? {} : { initiators: names }) },
      }, { "If-None-Match": "*" }));
    } catch (thrown) {
      setError(asError(thrown));
    }
    setBusy(false);
  };
  if (made) return <Done volume={made} onAgain={() => {
    setMade(null);
    setName("");
    setTarget("");
  }} />;
  return (
    <>
      <Head title="New volume" />
      <form class="card narrow" onSubmit={create}>
        <Field label="Name" error={nameFault} hint="What you call it: db1, backup-2026.">{(id) => (
          <input id={id} value={name} autofocus autocomplete="off" spellcheck={false} maxLength={63}
            onInput={(event) => setName(event.currentTarget.value)} />)}</Field>
        <Field label="Size" error={sizeFault} hint="Takes space as it is written to. It can grow later, not shrink.">{(id) => (
          <SizeInput id={id} amount={amount} unit={unit} onAmount={setAmount} onUnit={setUnit} />)}</Field>
        <fieldset>
          <legend>Who may connect</legend>
          <label class="check"><input type="radio" name="who" checked={everybody} onChange={() => setEverybody(true)} />Everybody who reaches the portal</label>
          <label class="check"><input type="radio" name="who" checked={!everybody} onChange={() => setEverybody(false)} />Only these initiators</label>
          {!everybody && <Field label="Initiator names" hint={<>One a line. On Linux it is in <code>/etc/iscsi/initiatorname.iscsi</code>.</>}>{(id) => (
            <textarea id={id} rows={3} value={initiators} spellcheck={false} placeholder="iqn.1994-05.com.redhat:node1"
              onInput={(event) => setInitiators(event.currentTarget.value)} />)}</Field>}
        </fieldset>
        <details><summary>Target name</summary>
          <Field label="iSCSI name" hint="Initiators log in to this name. A target that exists gets one more LUN.">{(id) => (
            <input id={id} value={target} placeholder={namePrefix + (name || "name")} spellcheck={false}
              onInput={(event) => setTarget(event.currentTarget.value)} />)}</Field></details>
        <ErrorBox error={error} />
        <div class="buttons"><a class="button quiet" href="#/volumes">Cancel</a><button class="primary" disabled={busy || !ready}>Create</button></div>
      </form>
    </>
  );
}
