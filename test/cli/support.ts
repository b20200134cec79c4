/** The real command line in a process of its own. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';

const MAIN = join(import.meta.dirname, '..', '..', 'node', 'cli', 'main.ts');
const READY_MS = 120_000;

export interface Ran {
  readonly code: number | NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Shown {
  readonly [name: string]: unknown;
  readonly id: string;
  readonly actor: string;
  readonly chain: string;
  readonly operator: string;
  readonly role: string;
  readonly seq: number;
  readonly stateRoot: string;
  readonly entries: readonly { readonly key: string }[];
  readonly summary: { readonly stateRoot: string };
  readonly finding: { readonly place: { readonly kind: string } };
}

/** A fresh folder that goes with the test. */
export function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'x0t-cli-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Runs a command to its end, in a working directory of its own. */
export async function x0t(cwd: string, ...args: string[]): Promise<Ran> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return collect(child);
}

/** The same with something on its stdin. */
export async function fed(input: string, cwd: string, ...args: string[]): Promise<Ran> {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, stdio: 'pipe' });
  child.stdin.end(input);
  return collect(child);
}

async function collect(child: ChildProcess): Promise<Ran> {
  const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)];
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code: code ?? signal, stdout: stdout(), stderr: stderr() };
}

function textOf(stream: NodeJS.ReadableStream | null): () => string {
  let text = '';
  stream?.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return () => text;
}

/** A command that runs on after its first output. */
export interface Command {
  readonly first: string;
  /** Resolves when it has printed so many lines. */
  readonly lines: (count: number) => Promise<void>;
  /** Asks it to stop; how it ended. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<Ran>;
}

/** Runs a command until it prints something; it ends with the test at the latest. */
export async function run(t: ExecutionContext, cwd: string, ...args: string[]): Promise<Command> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = collect(child);
  const chunks: string[] = [];
  child.stdout.on('data', (chunk: string) => chunks.push(chunk));
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const output = once(child.stdout, 'data', { signal: AbortSignal.timeout(READY_MS) });
  const first = await Promise.race([output.then(([chunk]) => String(chunk)), ended]);
  if (typeof first !== 'string') throw new Error(`the command ended: ${first.stderr}`);
  return {
    first,
    lines: async (count) => {
      while (chunks.join('').split('\n').length <= count) await once(child.stdout, 'data');
    },
    stop: (signal = 'SIGTERM') => {
      child.kill(signal);
      return ended;
    },
  };
}

export interface Running extends Pick<Command, 'stop'> {
  /** What `start --json` printed. */
  readonly started: { readonly url: string; readonly chain: string; readonly directory: string };
}

/** Runs `x0t start` until it says where it is. */
export async function start(t: ExecutionContext, cwd: string, ...args: string[]): Promise<Running> {
  const { first, stop } = await run(t, cwd, 'start', '--json', ...args);
  return { started: JSON.parse(first) as Running['started'], stop };
}

/** The JSON document of stdout, with the fields that the tests look at. */
export function json({ stdout }: Ran): Shown {
  return JSON.parse(stdout) as Shown;
}

/** The error envelope of stderr. */
export function envelope({ stderr }: Ran): {
  code: string;
  message: string;
  detail: Record<string, unknown>;
} {
  return JSON.parse(stderr) as ReturnType<typeof envelope>;
}
