/**
 * Numbers as people read them. A blank between number and unit is one that does not break.
 *
 * @module
 */

import type { Milliseconds } from "./runtime.ts";

const BLANK = "\u00a0";
const [SECOND, MINUTE, HOUR, DAY] = [1000, 60_000, 3_600_000, 86_400_000];

/** `1,204`; from a million on `1.24 M`. */
export function count(value: number): string {
  if (value < 1e6) return Math.round(value).toLocaleString("en-US");
  const [unit, name] = value < 1e9 ? [1e6, "M"] : [1e9, "G"];
  return `${(value / unit).toFixed(2)}${BLANK}${name}`;
}

/** `1 hit`, `2 hits`. */
export function counted(value: number, what: string): string {
  return `${count(value)} ${what}${value === 1 ? "" : "s"}`;
}

/** `87.4 %`, rounded down: what is not all must not read 100 %. */
export function percent(share: number): string {
  return `${(Math.floor(share * 1000) / 10).toFixed(1)}${BLANK}%`;
}

/** Millionths of a US dollar as dollars: the smaller, the more digits. */
export function dollars(microdollars: number): string {
  const amount = microdollars / 1e6;
  if (amount === 0) return "$0";
  if (amount < 0.00005) return "<$0.0001";
  const digits = amount < 0.99995 ? 4 : 2;
  return `$${amount.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

/** `0 s`, `820 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(time: Milliseconds): string {
  if (time <= 0) return `0${BLANK}s`;
  if (time < SECOND) return `${time < 10 ? time.toFixed(1) : Math.round(time)}${BLANK}ms`;
  if (time < MINUTE - SECOND / 20) return `${(time / SECOND).toFixed(1)}${BLANK}s`;
  const seconds = Math.round(time / SECOND);
  if (seconds < HOUR / SECOND) return inUnits(seconds, 60, "min", "s");
  const minutes = Math.round(time / MINUTE);
  if (minutes < DAY / MINUTE) return inUnits(minutes, 60, "h", "min");
  return inUnits(Math.round(time / HOUR), 24, "d", "h");
}

function inUnits(amount: number, size: number, large: string, small: string): string {
  const rest = amount % size;
  return `${count(Math.floor(amount / size))}${BLANK}${large}${rest === 0 ? "" : `${BLANK}${rest}${BLANK}${small}`}`;
}

/** `12 s`: as {@link duration}, without what does not matter in how long ago something was. */
export function age(time: Milliseconds): string {
  return time < MINUTE
    ? `${Math.max(0, Math.floor(time / SECOND))}${BLANK}s`
    : duration(Math.floor(time / SECOND) * SECOND);
}

/** `163.2 MB`, in powers of ten, as limits are set. */
export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [amount, unit] = [value, 0];
  while (amount >= 999.95 && unit < units.length - 1) [amount, unit] = [amount / 1000, unit + 1];
  return `${unit === 0 ? amount : amount.toFixed(1)}${BLANK}${units[unit]}`;
}

/** `14:02:31`, in UTC. */
export function clockTime(time: Milliseconds): string {
  return new Date(time).toISOString().slice(11, 19);
}

/** `2026-11-22 14:02:31 UTC`. */
export function dateTime(time: Milliseconds): string {
  return `${new Date(time).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** `2026-11-22`, the day in UTC, as the ledger counts days. */
export function dayOf(time: Milliseconds): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** `22 Nov`, of a day in UTC. */
export function shortDay(day: string): string {
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const [, month, date] = day.split("-").map(Number);
  return `${date}${BLANK}${months[month! - 1]}`;
}
