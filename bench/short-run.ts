import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DrivenNode, makeNet, untilMeshed } from '#test/support/processes.ts';
import { UNLIMITED, authored, isolatedLatency, loadOf, sendLoad } from './measures.ts';
import { makeActors } from './presign.ts';

/** One short measurement of four nodes, as JSON on stdout, for `against.ts`. */

const NODES = 4;
const ISOLATED = 20;
const LOAD_S = 8;
/** Less than the nodes can do, for the latency, and more, for the throughput. */
const CLIENT_PER_SECOND = { calm: 200, full: 1000 };
const AUTHORED_PER_SECOND = { calm: 800, full: 6000 };

const directory = mkdtempSync(join(tmpdir(), 'x0t-bench-'));
const nodes: DrivenNode[] = [];
try {
  const actors = await makeActors(100);
  const directories = await makeNet(
    directory,
    NODES,
    actors.map(({ actor }) => actor),
  );
  const load = await loadOf(directory, directories[0] as string, actors);
  for (const one of directories.slice(0, NODES)) nodes.push(await DrivenNode.start(one, UNLIMITED));
  await untilMeshed(nodes);
  const isolated = await isolatedLatency(nodes, load, ISOLATED);
  const client = {
    calm: await sendLoad(nodes, load, CLIENT_PER_SECOND.calm, LOAD_S),
    full: await sendLoad(nodes, load, CLIENT_PER_SECOND.full, LOAD_S),
  };
  const own = {
    calm: await authored(nodes, AUTHORED_PER_SECOND.calm, LOAD_S),
    full: await authored(nodes, AUTHORED_PER_SECOND.full, LOAD_S),
  };
  console.log(JSON.stringify({ isolated, client, own }));
} finally {
  for (const node of nodes) await node.stop();
  rmSync(directory, { recursive: true, force: true });
}
process.exit(0);
