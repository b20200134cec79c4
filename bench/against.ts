import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** What a short run measures, and whether more of it is better. */
const FIGURES = {
  isolatedP50_ms: false,
  clientSignedCalmP50_ms: false,
  clientSignedPerSecond: true,
  nodeAuthoredCalmP50_ms: false,
  nodeAuthoredPerSecond: true,
} as const;

type Name = keyof typeof FIGURES;
type Figures = Readonly<Record<Name, number>>;

/** Both versions' medians, and by round how many times better this version was than the other. */
export interface Comparison {
  readonly figure: Name;
  readonly other: number;
  readonly here: number;
  readonly rounds: readonly number[];
  readonly medianRatio: number;
}

/**
 * Measures four nodes of this tree and of another version of it in turn, in as many rounds, each by
 * its own `short-run.ts`. `version` is a revision, which runs on this tree's dependencies, or a
 * directory with a tree that is ready to run.
 */
export function compare(
  version: string,
  rounds: number,
  say: (line: string) => void,
): readonly Comparison[] {
  const here = resolve(import.meta.dirname, '..');
  const isDirectory = existsSync(version);
  const other = isDirectory ? resolve(version) : checkedOut(here, version);
  const results: { here: Figures; other: Figures }[] = [];
  try {
    for (let round = 0; round < rounds; round++) {
      // each version goes first as often as the other
      const order = round % 2 === 0 ? [other, here] : [here, other];
      const [first, second] = order.map((root) => shortRun(root)) as [Figures, Figures];
      const result =
        round % 2 === 0 ? { other: first, here: second } : { here: first, other: second };
      say(`round ${round + 1}: ${JSON.stringify(result)}`);
      results.push(result);
    }
  } finally {
    if (!isDirectory) rmSync(other, { recursive: true, force: true });
  }
  return (Object.keys(FIGURES) as Name[]).map((figure) => {
    const ratios = results.map((one) =>
      FIGURES[figure]
        ? one.here[figure] / one.other[figure]
        : one.other[figure] / one.here[figure],
    );
    return {
      figure,
      other: median(results.map((one) => one.other[figure])),
      here: median(results.map((one) => one.here[figure])),
      rounds: ratios.map((ratio) => Number(ratio.toFixed(2))),
      medianRatio: Number(median(ratios).toFixed(2)),
    };
  });
}

/** The tree of a revision in a folder of its own; the caller removes it. */
function checkedOut(root: string, revision: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'x0t-against-'));
  const archive = join(folder, 'tree.tar');
  execFileSync('git', ['archive', '--format=tar', '-o', archive, revision], { cwd: root });
  execFileSync('tar', ['-xf', archive, '-C', folder]);
  rmSync(archive);
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

interface Latency {
  readonly final_ms: { readonly p50: number };
}

interface Load {
  readonly calm: Latency;
  readonly full: { readonly finalPerSecond: number };
}

interface ShortRun {
  readonly isolated: Latency;
  readonly client: Load;
  readonly own: Load;
}

function shortRun(root: string): Figures {
  const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit'];
  const args = [join(root, 'bench/short-run.ts')];
  const text = execFileSync(process.execPath, args, { cwd: root, stdio, encoding: 'utf8' });
  const { isolated, client, own } = JSON.parse(lastLine(text)) as ShortRun;
  return {
    isolatedP50_ms: isolated.final_ms.p50,
    clientSignedCalmP50_ms: client.calm.final_ms.p50,
    clientSignedPerSecond: client.full.finalPerSecond,
    nodeAuthoredCalmP50_ms: own.calm.final_ms.p50,
    nodeAuthoredPerSecond: own.full.finalPerSecond,
  };
}

function lastLine(text: string): string {
  return text.trimEnd().split('\n').at(-1) ?? '';
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] ?? Number.NaN;
  return (low + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
}
