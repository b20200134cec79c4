import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server } from 'node:net';

/**
 * Ports for tests that must know them before somebody listens, or after: those that systems give to
 * connections and to port 0 begin above (32,768 on Linux, 49,152 elsewhere), so that nobody gets
 * one by chance, not even while the node that has it is down. Test files run in processes of their
 * own, whose numbers keep them apart.
 */
const LOWEST = 12_000;
const COUNT = 20_000;
const PER_PROCESS = 37;

let used = 0;

/** The first of so many ports that follow each other and are free now. */
export async function freePorts(count: number): Promise<number> {
  for (let tries = 0; tries < COUNT; tries++) {
    const first = LOWEST + ((process.pid * PER_PROCESS + used) % (COUNT - count));
    used += count;
    if (await areFree(first, count)) return first;
  }
  throw new Error(`no ${count} ports that follow each other are free`);
}

async function areFree(first: number, count: number): Promise<boolean> {
  const servers: Server[] = [];
  try {
    for (let i = 0; i < count; i++) {
      const server = createServer();
      // as a node listens: also where connections of before are not forgotten yet
      server.listen(first + i, '127.0.0.1');
      servers.push(server);
      await once(server, 'listening');
    }
    return true;
  } catch {
    return false;
  } finally {
    for (const server of servers.filter(({ listening }) => listening)) {
      server.close();
      await once(server, 'close');
    }
  }
}
