// Numbers and times as people read them, and sizes as they write them.
const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/// 10737418240 -> "10 GiB"; three digits at most.
export function bytes(value: number): string {
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${digits(value)} ${units[unit]}`;
}

function digits(value: number): string {
  if (value >= 100 || Number.isInteger(value)) return Math.round(value).toString();
  return value.toFixed(value >= 10 ? 1 : 2).replace(/\.?0+$/, "");
}

/// 12345 -> "12.3 k"
export function count(value: number): string {
  if (value < 10000) return Math.round(value).toString();
  if (value < 1e6) return `${digits(value / 1e3)} k`;
  return `${digits(value / 1e6)} M`;
}

export function duration(seconds: number): string {
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export function plural(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}

/// The size in the largest unit that shows it whole.
export function splitSize(value: number): { amount: number; unit: string } {
  let unit = 0;
  while (value >= 1024 && value % 1024 === 0 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return { amount: value, unit: units[unit] };
}

/// Bytes of "10" and "GiB"; null when that is no size.
export function joinSize(amount: string, unit: string): number | null {
  const number = Number(amount);
  const power = units.indexOf(unit);
  if (amount.trim() === "" || !Number.isFinite(number) || number <= 0 || power < 0) return null;
  const size = number * 1024 ** power;
  return Number.isSafeInteger(size) ? size : null;
}

/// What runs an initiator of this name, as far as the name tells.
export function system(initiator: string): string {
  const known: [string, string][] = [
    ["iqn.1991-05.com.microsoft", "Windows"], ["iqn.1998-01.com.vmware", "VMware ESXi"],
    ["iqn.1994-05.com.redhat", "Red Hat"], ["iqn.1993-08.org.debian", "Debian"], ["iqn.1996-04.de.suse", "SUSE"],
    ["iqn.2004-10.com.ubuntu", "Ubuntu"], ["iqn.2010-04.org.ipxe", "iPXE"], ["iqn.2008-11.org.linux-kvm", "QEMU"],
    ["iqn.2007-10.com.github:sahlberg:libiscsi", "libiscsi"],
  ];
  return known.find(([start]) => initiator.startsWith(start))?.[1] ?? "";
}

export const sizeUnits = ["MiB", "GiB", "TiB"];
