import { NOTHING, tableLines } from './table.ts';
import type { NodeLine } from './testnet-watch.ts';

/** Characters of a state hash that are shown. */
const HASH_CHARS = 12;
const NUMBERS = ['round', 'commits', 'final', 'pending', 'peers', 'latency'];
const HEAD = ['node', 'api', ...NUMBERS, 'state'];

/** The nodes as a table of text, one line each under a head. */
export function tableOf(lines: readonly NodeLine[]): string {
  const rows = lines.filter(({ status }) => status).map(cellsOf);
  const [head = '', ...up] = tableLines(HEAD, rows, NUMBERS);
  const texts = lines.map((line) => (line.status ? up.shift() : silenceOf(line)));
  return `${[head, ...texts].join('\n')}\n`;
}

function silenceOf({ name, url, exit }: NodeLine): string {
  const silence = exit === undefined ? 'no answer' : `ended (${exit}): see its node.log`;
  return `${name}  ${url}  ${silence}`;
}

function cellsOf({ name, url, status, probe_ms }: NodeLine): string[] {
  if (!status) return [name, url];
  const { round, commits, finalSeq, pending, peers, summaryHash } = status;
  const latency = probe_ms === undefined ? NOTHING : `${probe_ms.toFixed(1)} ms`;
  const numbers = [round, commits, finalSeq, pending, peers].map(String);
  return [name, url, ...numbers, latency, summaryHash.slice(0, HASH_CHARS)];
}

/** One short line for logs. */
export function lineOf(seconds: number, lines: readonly NodeLine[]): string {
  const up = lines.flatMap(({ status }) => status ?? []);
  const of = (values: readonly number[]): string =>
    `${Math.min(...values)}..${Math.max(...values)}`;
  const head = `${seconds} s  ${up.length}/${lines.length} nodes`;
  if (up.length === 0) return head;
  const probes = lines.flatMap(({ probe_ms }) => probe_ms ?? []);
  return [
    head,
    `round ${of(up.map((one) => one.round))}`,
    `commits ${of(up.map((one) => one.commits))}`,
    `final ${of(up.map((one) => one.finalSeq))}`,
    `peers ${of(up.map((one) => one.peers))}`,
    `latency ${probes.length === 0 ? '-' : `${of(probes)} ms`}`,
    `state ${[...new Set(up.map((one) => one.summaryHash.slice(0, HASH_CHARS)))].join(' ')}`,
  ].join('  ');
}

/** The same for programs. */
export function jsonOf(seconds: number, lines: readonly NodeLine[]): object {
  return {
    type: 'nodes',
    seconds,
    nodes: lines.map(({ name, url, status, probe_ms, exit }) => ({
      name,
      url,
      isUp: status !== undefined,
      ...(exit !== undefined && { exit }),
      ...(status && {
        round: status.round,
        commits: status.commits,
        finalSeq: status.finalSeq,
        pending: status.pending,
        peers: status.peers,
        stateHash: status.summaryHash,
      }),
      latency_ms: probe_ms ?? null,
    })),
  };
}
