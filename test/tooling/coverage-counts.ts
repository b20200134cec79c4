/**
 * What istanbul counts, without its maps of the source: every thread writes the counts of some 300
 * files, whose maps are ten times as large and the same in all of them.
 */

/** Of one file: how often each statement, function and branch ran; the maps stay as they are. */
export interface FileCoverage {
  readonly s: Record<number, number>;
  readonly f: Record<number, number>;
  readonly b: Record<number, number[]>;
}

/** By absolute path. */
export type Coverage = Readonly<Record<string, FileCoverage>>;

/** Each in the order of its keys, which are whole numbers. */
export type Counts = readonly [
  statements: readonly number[],
  functions: readonly number[],
  branches: readonly (readonly number[])[],
];

export function countsOf(coverage: Coverage): Record<string, Counts> {
  const files = Object.entries(coverage);
  return Object.fromEntries(files.map(([path, { s, f, b }]) => [
    path,
    [Object.values(s), Object.values(f), Object.values(b)],
  ]));
}

/** Adds counts to those of `total`. Throws for a file, or a number of counts, that it has not. */
export function addCounts(total: Coverage, counts: Readonly<Record<string, Counts>>): void {
  for (const [path, [s, f, b]] of Object.entries(counts)) {
    const file = total[path];
    const branches = Object.values(file?.b ?? {});
    if (!file || b.length !== branches.length) throw new Error(`counts of another ${path}`);
    addTo(file.s, s, path);
    addTo(file.f, f, path);
    for (const [i, branch] of branches.entries()) addTo(branch, b[i] ?? [], path);
  }
}

function addTo(total: Record<number, number>, more: readonly number[], path: string): void {
  const keys = Object.keys(total).map(Number);
  if (keys.length !== more.length) throw new Error(`counts of another ${path}`);
  for (const [i, key] of keys.entries()) total[key] = (total[key] ?? 0) + (more[i] ?? 0);
}
