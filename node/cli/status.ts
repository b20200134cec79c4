import type { Command } from 'commander';
import type { NodeStatus } from '#node/api/status.ts';
import { addCommand } from './command.ts';
import { columns, counted } from './output.ts';
import { clientOf } from './client.ts';
import { withNode } from './places.ts';
import type { NodeOptions } from './places.ts';

export function registerStatus(program: Command): void {
  const { command, does } = addCommand<NodeOptions>(
    program,
    'status',
    'how a running node stands',
    ['x0t status', 'x0t status --json --url http://127.0.0.1:8431'],
  );
  withNode(command);
  does(async (out, options) => {
    const client = await clientOf(options);
    const status = await client.status();
    out.show(status, () => describe(status, client.url));
  });
}

/** An observer may be linked to fewer validators and hear of final events all the same. */
function quorumOf({ quorumReachable, role }: NodeStatus): string {
  if (quorumReachable) return 'reachable';
  return role === 'observer'
    ? 'this observer is linked to fewer validators'
    : 'not reachable: nothing becomes final';
}

function certified({ checkpoint }: NodeStatus): string {
  if (!checkpoint) return 'nothing yet';
  const { size, age_ms } = checkpoint;
  return `${size} events, ${Math.round(age_ms / 1000)} s ago`;
}

function describe(status: NodeStatus, url: string): string {
  const rows = columns([
    ['api', url],
    ...httpsOf(status),
    ['network', status.network],
    ['chain', status.chain],
    ['role', `${status.role}, ${counted(status.n, 'validator')}, quorum ${status.quorum}`],
    ['epoch', `${status.epoch}${status.epochEnding ? ', ending' : ''}`],
    ['actor', status.actor],
    ['peer', status.peer],
    ['peers', status.peers],
    ['quorum', quorumOf(status)],
    ['round', status.round],
    ['commits', status.commits],
    ['final events', status.finalSeq],
    ['log held', status.log.from === 1 ? 'all of it' : `from number ${status.log.from} on`],
    ['pending events', status.pending],
    ['certified', certified(status)],
    ['state hash', status.summaryHash],
    ...identityOf(status),
    ['engine', status.engine],
    ['version', status.version],
    ['running for', `${Math.round(status.uptime_ms / 1000)} s, since ${status.startedAt}`],
  ]);
  const catchUp = catchingUp(status);
  const alarms = status.alarms.map(({ code, message }) => `alarm: ${message} (${code})\n`);
  const limits = status.limitations.map((sentence) => `limited: ${sentence}\n`);
  return [rows, catchUp, ...alarms, ...limits].join('');
}

/** Nothing where there is no listener for HTTPS. */
function httpsOf({ api }: NodeStatus): [string, string][] {
  if (!api?.https) return [];
  const { host, port, state, spiffeId = '' } = api.https;
  return [['api by TLS', `port ${port} of ${host}, ${state} ${spiffeId}`.trim()]];
}

/** Nothing where SPIFFE is off. */
function identityOf({ identity }: NodeStatus): [string, string][] {
  if (!identity) return [];
  const { trustDomain = 'none', provider, client, spiffeId } = identity;
  const own = spiffeId === undefined ? '' : ` as ${spiffeId}`;
  return [
    ['trust domain', `${trustDomain}, Workload API ${provider}`],
    ['own identity', `${client}${own}`],
  ];
}

/** What is being fetched, and how much of how much; empty for a node in step. */
export function catchingUp({ catchUp, commits }: Pick<NodeStatus, 'catchUp' | 'commits'>): string {
  const { isRunning, target, snapshot } = catchUp;
  if (!isRunning) return '';
  if (!snapshot) return `catching up: commit ${commits} of ${target}\n`;
  const { size, done_bytes, total_bytes } = snapshot;
  const share = Math.floor((100 * done_bytes) / Math.max(1, total_bytes));
  const bytes = `${done_bytes} of ${total_bytes} bytes`;
  return `fetching a snapshot of ${size} events: ${share} %, ${bytes}\n`;
}
