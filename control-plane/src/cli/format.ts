// SPDX-License-Identifier: Apache-2.0
//
// Text for people.
const ESCAPE = '\u001b[';
const CODES = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1 } as const;
export type Color = keyof typeof CODES;

export interface Cell {
  readonly text: string;
  readonly color?: Color | undefined;
  readonly right?: boolean;
}

export function useColor(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && !process.env.NO_COLOR;
}

/** Control characters of names that others chose must not reach a terminal. */
export function clean(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}

function paint(cell: Cell, text: string, color: boolean): string {
  return color && cell.color ? `${ESCAPE}${CODES[cell.color]}m${text}${ESCAPE}0m` : text;
}

/** Columns as wide as their widest cell, two spaces between. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[], color: boolean): string {
  const all: (readonly Cell[])[] = [
    head.map((text, index) => ({ text, color: 'dim' as const, right: rows[0]?.[index]?.right ?? false })),
    ...rows,
  ];
  const cells = all.map((row) => row.map((cell) => ({ ...cell, text: clean(cell.text) })));
  const widths = head.map((_, index) => Math.max(...cells.map((row) => row[index]?.text.length ?? 0)));
  return cells
    .map((row) =>
      row
        .map((cell, index) => {
          const last = index === row.length - 1 && !cell.right;
          const width = last ? 0 : (widths[index] ?? 0);
          return paint(cell, cell.right ? cell.text.padStart(width) : cell.text.padEnd(width), color);
        })
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** "  name  value" a line, without those that have no value. */
export function facts(list: readonly (readonly [name: string, value: string | null])[]): string {
  const known = list.filter(([, value]) => value !== null);
  const width = Math.max(...known.map(([name]) => name.length));
  return known.map(([name, value]) => `  ${name.padEnd(width)}  ${clean(value ?? '')}\n`).join('');
}

export function bytes(count: number | null): string {
  if (count === null) return '-';
  if (count < 1000) return `${count} B`;
  const units = ['kB', 'MB', 'GB', 'TB', 'PB'];
  let value = count / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function duration(us: number | null): string {
  if (us === null) return '-';
  if (us < 1000) return `${us} µs`;
  if (us < 1e6) return `${(us / 1000).toFixed(us < 1e4 ? 1 : 0)} ms`;
  if (us < 60e6) return `${(us / 1e6).toFixed(1)} s`;
  const minutes = Math.floor(us / 60e6);
  if (minutes < 60) return `${minutes}m${String(Math.floor(us / 1e6) % 60).padStart(2, '0')}s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours}h${String(minutes % 60).padStart(2, '0')}m` : `${Math.floor(hours / 24)}d${hours % 24}h`;
}

/** Local time; with the date when it is not today. */
export function localTime(text: string, now: Date): string {
  const time = new Date(text);
  const two = (value: number) => String(value).padStart(2, '0');
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  if (time.toDateString() === now.toDateString()) return clock;
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${clock}`;
}

export function endpoint(address: string, port: number | null): string {
  const host = address.includes(':') ? `[${address}]` : address;
  return port === null || port === 0 ? host : `${host}:${port}`;
}

/** RFC 4180; text that a spreadsheet would run as a formula gets an apostrophe. */
export function csvLine(values: readonly (string | number | null)[]): string {
  const cells = values.map((value) => {
    if (value === null) return '';
    if (typeof value === 'number') return String(value);
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  });
  return `${cells.join(',')}\r\n`;
}
