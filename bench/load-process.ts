import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';

/**
 * Sends signed events over HTTP at a steady rate, each to the next node in turn, in a process of
 * its own. Notes when each was sent and when it was acknowledged.
 */

/** A node's API, and the file with the token that it takes. */
export interface Target {
  readonly url: string;
  readonly tokenFile: string;
}

export interface LoadJob {
  readonly nodes: readonly Target[];
  /** File of length-prefixed bodies: u32 length, 32 bytes of id, body. */
  readonly file: string;
  readonly from: number;
  readonly count: number;
  readonly perSecond: number;
  /** Address of this machine to send from; any where it is not given. */
  readonly localAddress?: string;
  /** Where the result goes: JSON of `LoadResult`. */
  readonly out: string;
}

export interface LoadResult {
  readonly seconds: number;
  readonly accepted: number;
  readonly refused: Readonly<Record<string, number>>;
  /** [id, node, sent ms, acknowledged ms] on the machine's monotonic clock. */
  readonly events: readonly (readonly [string, number, number, number])[];
}

const machine_ms = (): number => Number(process.hrtime.bigint()) / 1e6;
/**
 * Requests under way at once to one node: an overloaded node slows the sender, as it would a
 * client.
 */
const UNDER_WAY_MAX = 1024;

async function run(job: LoadJob): Promise<LoadResult> {
  const { localAddress } = job;
  const options = { connections: 16, pipelining: 4, ...(localAddress && { localAddress }) };
  const pools = job.nodes.map(({ url }) => new Pool(url, options));
  const tokens = await Promise.all(
    job.nodes.map(async ({ tokenFile }) => (await readFile(tokenFile, 'utf8')).trim()),
  );
  const bodies = parse(await readFile(job.file)).slice(job.from, job.from + job.count);
  const events: [string, number, number, number][] = [];
  const refused: Record<string, number> = {};
  const load = { underWay: 0 };
  let next = 0;
  const send = async (index: number): Promise<void> => {
    const { id, body } = bodies[index] as { id: string; body: Buffer };
    const node = index % pools.length;
    const sent_ms = machine_ms();
    load.underWay += 1;
    try {
      const answer = await (pools[node] as Pool).request({
        path: '/v1/events',
        method: 'POST',
        headers: {
          'content-type': 'application/cbor',
          authorization: `Bearer ${tokens[node]}`,
        },
        body,
      });
      const text = await answer.body.text();
      if (answer.statusCode < 300) events.push([id, node, sent_ms, machine_ms()]);
      else {
        count(refused, (JSON.parse(text) as { code?: string }).code ?? String(answer.statusCode));
      }
    } catch (error) {
      count(refused, (error as { code?: string }).code ?? 'failed');
    } finally {
      load.underWay -= 1;
    }
  };
  const start_ms = machine_ms();
  const all: Promise<void>[] = [];
  while (next < bodies.length) {
    const due = Math.min(bodies.length, ((machine_ms() - start_ms) / 1000) * job.perSecond);
    while (next < due && load.underWay < UNDER_WAY_MAX) all.push(send(next++));
    await sleep(2);
  }
  await Promise.all(all);
  const seconds = (machine_ms() - start_ms) / 1000;
  await Promise.all(pools.map((pool) => pool.close()));
  return { seconds, accepted: events.length, refused, events };
}

function count(table: Record<string, number>, name: string): void {
  table[name] = (table[name] ?? 0) + 1;
}

function parse(file: Buffer): { id: string; body: Buffer }[] {
  const bodies: { id: string; body: Buffer }[] = [];
  for (let at = 0; at < file.length;) {
    const length = file.readUInt32BE(at);
    bodies.push({
      id: file.toString('hex', at + 4, at + 36),
      body: file.subarray(at + 36, at + 36 + length),
    });
    at += 36 + length;
  }
  return bodies;
}

const job = JSON.parse(process.argv[2] as string) as LoadJob;
await writeFile(job.out, JSON.stringify(await run(job)));
