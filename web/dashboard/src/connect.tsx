// How to reach a target, as commands to copy: for the initiators that people have.
import { useState } from "preact/hooks";
import { Copy } from "./ui";

interface Way { name: string; lines: string; note?: string }

/// A wildcard address is none to connect to: the one this page came from is.
function reachable(portal: string): { host: string; port: string } {
  const at = portal.lastIndexOf(":");
  let host = portal.slice(0, at);
  if (host === "0.0.0.0" || host === "[::]") host = location.hostname;
  return { host, port: portal.slice(at + 1) };
}

function ways(portal: string, target: string, lun: number): Way[] {
  const { host, port } = reachable(portal);
  const address = `${host}:${port}`;
  const bare = host.replace(/^\[|\]$/g, "");
  return [
    { name: "Linux", note: "With open-iscsi, as root. The disk appears in lsblk and under /dev/disk/by-path.",
      lines: `iscsiadm -m discovery -t sendtargets -p ${address}\niscsiadm -m node -T ${target} -p ${address} --login\n`
        + `# connect again at each start:\niscsiadm -m node -T ${target} -p ${address} -o update -n node.startup -v automatic` },
    { name: "Windows", note: "In PowerShell, as administrator. Then bring the disk online in Disk Management.",
      lines: `Start-Service MSiSCSI\nSet-Service MSiSCSI -StartupType Automatic\n`
        + `New-IscsiTargetPortal -TargetPortalAddress ${bare} -TargetPortalPortNumber ${port}\n`
        + `Connect-IscsiTarget -NodeAddress ${target} -IsPersistent $true` },
    { name: "ESXi", note: "Replace vmhba64 by the software adapter that the first two commands show.",
      lines: `esxcli iscsi software set --enabled=true\nesxcli iscsi adapter list\n`
        + `esxcli iscsi adapter discovery sendtarget add -A vmhba64 -a ${address}\nesxcli storage core adapter rescan -A vmhba64` },
    { name: "QEMU", note: "QEMU speaks iSCSI itself: nothing to set up on the host.",
      lines: `qemu-system-x86_64 -m 2G -drive if=virtio,format=raw,file=iscsi://${address}/${target}/${lun}` },
    { name: "iPXE", note: "At the iPXE prompt or in a script: boots from the volume.",
      lines: `sanboot iscsi:${bare}::${port}:${lun.toString(16)}:${target}` },
    { name: "Kubernetes", note: "A persistent volume; the nodes need open-iscsi. Set the capacity to the volume's size.",
      lines: `apiVersion: v1\nkind: PersistentVolume\nmetadata:\n  name: lunaris-${lun}\nspec:\n  capacity:\n    storage: 10Gi\n`
        + `  accessModes: [ReadWriteOnce]\n  iscsi:\n    targetPortal: ${address}\n    iqn: ${target}\n    lun: ${lun}\n    fsType: ext4` },
    { name: "libvirt", note: "A disk of a virtual machine: virsh edit, inside <devices>.",
      lines: `<disk type='network' device='disk'>\n  <driver name='qemu' type='raw'/>\n`
        + `  <source protocol='iscsi' name='${target}/${lun}'>\n    <host name='${bare}' port='${port}'/>\n  </source>\n`
        + `  <target dev='vdb' bus='virtio'/>\n</disk>` },
  ];
}

export function Connect({ portals, target, lun }: { portals: string[]; target: string; lun: number }) {
  const [chosen, setChosen] = useState("Linux");
  const [portal, setPortal] = useState(portals[0]);
  const list = ways(portals.includes(portal) ? portal : portals[0], target, lun);
  const way = list.find((one) => one.name === chosen) ?? list[0];
  const move = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    const next = list[(list.indexOf(way) + step + list.length) % list.length].name;
    setChosen(next);
    document.getElementById(`way-${next}`)?.focus();
  };
  return (
    <section class="card" aria-label="Connect">
      <div class="card-head">
        <h2>Connect</h2>
        {portals.length > 1 && (
          <select aria-label="Portal" value={portal} onChange={(event) => setPortal(event.currentTarget.value)}>
            {portals.map((one) => <option>{one}</option>)}
          </select>
        )}
      </div>
      <div class="tabs" role="tablist" onKeyDown={move}>
        {list.map((one) => (
          <button type="button" role="tab" id={`way-${one.name}`} aria-selected={one === way} aria-controls="way-panel"
            tabIndex={one === way ? 0 : -1} onClick={() => setChosen(one.name)}>{one.name}</button>
        ))}
      </div>
      <div role="tabpanel" id="way-panel" aria-labelledby={`way-${way.name}`}>
        <p class="hint">{way.note}</p>
        <div class="code"><pre tabIndex={0}>{way.lines}</pre><Copy text={way.lines} label={`Copy the commands for ${way.name}`} /></div>
      </div>
    </section>
  );
}
