// Overview: is everything well, what is it doing, who does it.
import { get, list, Stats, Volume } from "./api";
import { Chart } from "./chart";
import { bytes, count, duration, plural } from "./format";
import { canChange, system, usePoll } from "./state";
import { Cell, Empty, Head, Icon, Table } from "./ui";

const secondsMax = 300;
/// A server that has just started has little to show: then the chart shows less time.
const windowOf = (samples: number) => [60, 120, secondsMax].find((seconds) => samples <= seconds) ?? secondsMax;

function Health() {
  const now = system.value;
  if (!now) return null;
  const good = now.health === "ready";
  return (
    <section class={`health card ${good ? "good" : "warn"}`} aria-label="Health">
      <Icon name={good ? "check" : "warn"} />
      <div>
        <strong>{good ? "Everything is well" : `${plural(now.problems.length, "problem")} to look at`}</strong>
        <span class="hint">Lunaris {now.version}, up {duration(now.uptime_seconds)}, configuration {now.revision}</span>
        {!good && <ul>{now.problems.map((one) => <li><code>{one.pointer}</code> {one.reason}</li>)}</ul>}
      </div>
    </section>
  );
}

function Tile({ label, value, more, href }: { label: string; value: string; more: string; href: string }) {
  return <a class="tile card" href={href}><span class="label">{label}</span><b>{value}</b><span class="hint">{more}</span></a>;
}

export function Overview() {
  const stats = usePoll(() => get<Stats>(`/api/v1/stats?range=${secondsMax}s`), 1000).data;
  const volumes = usePoll(() => list<Volume>("/api/v1/volumes"), 5000).data;
  const size = volumes?.reduce((sum, volume) => sum + volume.size, 0) ?? 0;
  const used = volumes?.reduce((sum, volume) => sum + (volume.allocated ?? 0), 0) ?? 0;
  const seconds = windowOf(stats?.series.reads.length ?? 0);
  const now = system.value;
  const quiet = stats !== null && ![...stats.series.reads, ...stats.series.writes].some((value) => value > 0);
  const top = stats?.volumes.filter((one) => one.rates.reads + one.rates.writes > 0).slice(0, 5) ?? [];
  return (
    <>
      <Head title="Overview">{canChange() && <a class="button primary" href="#/create"><Icon name="plus" />New volume</a>}</Head>
      <Health />
      <div class="tiles">
        <Tile label="Volumes" value={now ? `${now.volumes}` : "…"} more={volumes ? `${bytes(size)} in all` : ""} href="#/volumes" />
        <Tile label="Storage used" value={volumes ? bytes(used) : "…"} more={size ? `${Math.round((used / size) * 100)} % of the volumes' size` : ""} href="#/volumes" />
        <Tile label="Targets" value={now ? `${now.targets}` : "…"} more={now ? plural(now.portals, "portal") : ""} href="#/targets" />
        <Tile label="Sessions" value={now ? `${now.sessions}` : "…"} more={now?.sessions ? "logged in now" : "nobody logged in"} href="#/sessions" />
      </div>
      {quiet && (
        <section class="card"><Empty title={`No I/O in the last ${secondsMax / 60} minutes`}>
          <p>{now?.volumes ? <>Charts appear here as soon as an initiator reads or writes. <a href="#/targets">How to connect</a></>
            : <>There is no volume yet. {canChange() && <a href="#/create">Create the first one</a>}</>}</p>
        </Empty></section>
      )}
      {stats && !quiet && (
        <div class="charts">
          <section class="card"><Chart title="Operations per second" seconds={seconds} base={10} format={count} lines={[
            { name: "read", kind: "read", values: stats.series.reads }, { name: "write", kind: "write", values: stats.series.writes }]} /></section>
          <section class="card"><Chart title="Throughput" seconds={seconds} base={1024} format={(value) => `${bytes(value)}/s`} lines={[
            { name: "read", kind: "read", values: stats.series.read_bytes }, { name: "write", kind: "write", values: stats.series.written_bytes }]} /></section>
        </div>
      )}
      {top.length > 0 && (
        <section class="card">
          <h2>Busiest volumes</h2>
          <Table columns={["Volume", "Reads/s", "Writes/s", "Read", "Written"]}>
            {top.map((one) => (
              <tr key={one.name}>
                <Cell label="Volume" kind="strong">{one.name}</Cell>
                <Cell label="Reads/s" kind="number">{count(one.rates.reads)}</Cell>
                <Cell label="Writes/s" kind="number">{count(one.rates.writes)}</Cell>
                <Cell label="Read" kind="number">{bytes(one.rates.read_bytes)}/s</Cell>
                <Cell label="Written" kind="number">{bytes(one.rates.written_bytes)}/s</Cell>
              </tr>
            ))}
          </Table>
        </section>
      )}
    </>
  );
}
