/**
 * Two network namespaces joined by a veth pair, and node processes inside them. Needs root and
 * iproute2.
 */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { PeerName } from '#ledger/ports.ts';

const NODE_PROGRAM = join(import.meta.dirname, 'net-node.ts');

/** Why the namespaces cannot be made here, or undefined. */
export function reasonToSkip(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root, to make network namespaces';
  try {
    execFileSync('ip', ['netns', 'list'], { stdio: 'pipe' });
    return undefined;
  } catch {
    return 'needs iproute2 and a kernel with network namespaces';
  }
}

export interface NodeReport {
  readonly self: PeerName;
  readonly addrs: readonly string[];
  readonly peers: readonly PeerName[];
  readonly meshed: number;
}

export interface HostNode {
  /** What it said last. */
  report: NodeReport | undefined;
  stop(): void;
}

/** Two hosts: 10.213.N.1 and 10.213.N.2, each in its own namespace. */
export class TwoHosts {
  readonly #names: readonly [string, string];
  readonly #children: ChildProcess[] = [];
  readonly addresses: readonly [string, string];

  constructor(subnet: number) {
    const tag = `x0t-${process.pid}-${subnet}`;
    this.#names = [`${tag}-a`, `${tag}-b`];
    this.addresses = [`10.213.${subnet}.1`, `10.213.${subnet}.2`];
    for (const name of this.#names) ip('netns', 'add', name);
    const ends = [`x0ta${subnet}`, `x0tb${subnet}`] as const;
    ip(
      'link',
      'add',
      ends[0],
      'netns',
      this.#names[0],
      'type',
      'veth',
      'peer',
      'name',
      ends[1],
      'netns',
      this.#names[1],
    );
    for (const side of [0, 1] as const) {
      const within = ['-n', this.#names[side]] as const;
      ip(...within, 'addr', 'add', `${this.addresses[side]}/24`, 'dev', ends[side]);
      ip(...within, 'link', 'set', ends[side], 'up');
      ip(...within, 'link', 'set', 'lo', 'up');
      ip(...within, 'route', 'add', '224.0.0.0/4', 'dev', ends[side]);
    }
    this.#subnet = subnet;
  }

  readonly #subnet: number;

  /** Drops every packet between the hosts, silently, or lets them pass again. */
  setCut(cut: boolean): void {
    const device = `x0ta${this.#subnet}`;
    const rule = ['qdisc', cut ? 'add' : 'del', 'dev', device];
    if (cut)
      run(
        'tc',
        '-n',
        this.#names[0],
        ...rule,
        'root',
        'tbf',
        'rate',
        '8bit',
        'burst',
        '1',
        'limit',
        '1',
      );
    else run('tc', '-n', this.#names[0], ...rule, 'root');
  }

  /** Starts a node on a host; `config` is for `net-node.ts`. */
  startNode(side: 0 | 1, config: object): HostNode {
    const args = [
      'netns',
      'exec',
      this.#names[side],
      process.execPath,
      NODE_PROGRAM,
      JSON.stringify(config),
    ];
    const child = spawn('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#children.push(child);
    const node: HostNode = { report: undefined, stop: () => child.kill('SIGTERM') };
    createInterface({ input: child.stdout }).on('line', (line) => {
      node.report = JSON.parse(line) as NodeReport;
    });
    return node;
  }

  /** Runs Node on a host until it is stopped or ends by itself. */
  spawnNode(side: 0 | 1, ...args: string[]): ChildProcess {
    const all = ['netns', 'exec', this.#names[side], process.execPath, ...args];
    const child = spawn('ip', all, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.push(child);
    return child;
  }

  /** Ends the processes and removes the namespaces; the veth pair goes with them. */
  remove(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    for (const name of this.#names) ip('netns', 'del', name);
  }
}

function ip(...args: string[]): void {
  run('ip', ...args);
}

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { stdio: 'pipe' });
}
