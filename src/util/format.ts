// Numbers as people read them, for logs, tables and progress lines. English, no locale: the same text everywhere.

/** Seconds: '0.45 s', '12 s', '3 min 05 s', '2 h 07 min', '3 d 04 h'. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  if (seconds < 10) return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  const two = (n: number) => String(n).padStart(2, '0');
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  const hours = Math.round(minutes / 60);
  return `${Math.floor(hours / 24)} d ${two(hours % 24)} h`;
}

/** Bytes in decimal units: '512 B', '1.5 kB', '434 MB', '2.1 GB'. */
export function bytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let i = 0;
  let value = n;
  while (value >= 999.5 && i < units.length - 1) {
    value /= 1000;
    i++;
  }
  return `${i === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[i]}`;
}

/** A whole number with thousands set apart: '1,234,567'. */
export function count(n: number): string {
  return String(Math.round(n)).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** A whole number of things: '1 picture', '1,234 pictures'. */
export function counted(n: number, thing: string): string {
  return `${count(n)} ${thing}${n === 1 ? '' : 's'}`;
}

/** A number to `digits` significant digits, without exponent where it stays short: '0.0123', '1.23', '1,230', '1.2e-7'. */
export function figure(x: number, digits = 3): string {
  if (!Number.isFinite(x) || x === 0) return String(x);
  const magnitude = Math.floor(Math.log10(Math.abs(x)));
  if (magnitude < -4 || magnitude >= 9) return x.toExponential(digits - 1);
  if (magnitude >= digits) return count(x);
  return x.toFixed(Math.max(0, digits - 1 - magnitude));
}

/** A share as '62.5 %'. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** Rows as aligned columns: text to the left, numbers (cells that begin with a digit or sign) to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const column = (i: number) => rows.map((row) => row[i] ?? '');
  const widths = Array.from({ length: columns }, (_, i) => Math.max(...column(i).map((cell) => cell.length)));
  // The first row may be a header: the body decides.
  const right = widths.map(
    (_, i) =>
      column(i)
        .slice(1)
        .some((c) => c) && column(i).slice(1).every(isNumber),
  );
  const line = (row: readonly string[]) =>
    widths.map((w, i) => (right[i] ? (row[i] ?? '').padStart(w) : (row[i] ?? '').padEnd(w))).join('  ');
  return rows.map((row) => line(row).trimEnd()).join('\n');
}

const isNumber = (cell: string) => cell === '' || /^[-+.]?\d/.test(cell);
