/**
 * What is done to the network. Each scenario runs under load, puts things right again, and says in
 * a few words what it saw; `main.ts` then checks that all nodes agree and that nothing is lost.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { presentImage, setImage } from './docker.ts';
import type { Load } from './load.ts';
import { NODES, VALIDATORS, poll } from './network.ts';
import type { Network } from './network.ts';

export interface Context {
  readonly net: Network;
  readonly load: Load;
  /** How long a fault lasts, ms. */
  readonly hold_ms: number;
  /** For `roll`: the image to change to. */
  readonly image: string | undefined;
  /** Names keys of one run apart from those of another. */
  readonly run: string;
}

type Scenario = (context: Context) => Promise<string>;

const FINAL_MS = 30_000;
const UP_S = 240;
/** Two slots of the default length, and time to start. */
const CHAOS_MS = 150_000;
/** Under load an event is final after much less. */
const STILL_MS = 3000;

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  load: async ({ hold_ms }) => {
    await sleep(hold_ms);
    return 'writes to four validators';
  },

  kill: async ({ net, hold_ms, run }) => {
    await net.compose.kill('node-3');
    await net.api('node-1').putFinal(`${run}/while-killed`, 'three are a quorum', FINAL_MS);
    await sleep(hold_ms);
    await net.compose.start('node-3');
    await net.untilReady('node-3');
    return 'node-3 killed; three went on; it came back';
  },

  disconnect: async ({ net, hold_ms, run }) => {
    await net.compose.disconnect('node-4');
    await net.untilStatus('node-4', 'sees no quorum', (status) => !status.quorumReachable);
    await net.api('node-1').putFinal(`${run}/while-cut`, 'three are a quorum', FINAL_MS);
    await net.api('node-4').put(`${run}/from-the-cut-node`, 'accepted');
    await sleep(hold_ms);
    const { pending } = await net.api('node-4').status();
    if (pending === 0) throw new Error('a node without a quorum made events final');
    await net.compose.connect('node-4');
    await net.untilStatus('node-4', 'sees a quorum', (status) => status.quorumReachable);
    return `node-4 cut off; it kept ${pending} events until healed`;
  },

  split: async ({ net, hold_ms, load }) => {
    await Promise.all(['node-3', 'node-4'].map((name) => net.compose.disconnect(name)));
    await net.untilStatus('node-1', 'sees no quorum', (status) => !status.quorumReachable);
    // what was under way may still become final
    await sleep(1000);
    const before = await net.api('node-1').status();
    const writes = load.acknowledged.size;
    await sleep(hold_ms);
    const after = await net.api('node-1').status();
    if (after.finalSeq !== before.finalSeq) throw new Error('final events without a quorum');
    if (load.acknowledged.size === writes) throw new Error('nothing was accepted meanwhile');
    await Promise.all(['node-3', 'node-4'].map((name) => net.compose.connect(name)));
    await net.untilStatus('node-1', 'sees a quorum', (status) => status.quorumReachable);
    return `no quorum: nothing final, ${load.acknowledged.size - writes} accepted; healed`;
  },

  heal: async ({ net }) => {
    for (const name of NODES) await net.untilReady(name);
    for (const name of NODES) {
      await net.untilStatus(name, 'sees a quorum', (status) => status.quorumReachable);
    }
    return 'all nodes connected and started';
  },

  add: async ({ net }) => {
    const { epoch, n } = await net.api('node-1').status();
    await operator(net, 'add', 'http://observer.api:8420');
    for (const name of NODES) {
      await net.untilStatus(name, 'has the new committee', (now) => now.n === n + 1);
    }
    const { role } = await net.api('observer').status();
    if (role !== 'validator') throw new Error(`the observer is a ${role}`);
    return `the observer became a validator: ${n + 1} since epoch ${epoch + 1}`;
  },

  remove: async ({ net }) => {
    const { epoch, n } = await net.api('node-1').status();
    const { actor } = await net.api('observer').status();
    await operator(net, 'unseat', actor);
    for (const name of NODES) {
      await net.untilStatus(name, 'has the new committee', (now) => now.n === n - 1);
    }
    return `the observer gave up its seat: ${n - 1} since epoch ${epoch + 1}`;
  },

  roll: async ({ net, image }) => {
    if (image === undefined) throw new Error('name the image: --image x0t:TAG');
    const before = presentImage();
    setImage(image);
    for (const name of NODES) {
      await net.compose.run('up', '--detach', '--no-deps', name);
      await net.untilReady(name);
    }
    return `one after the other from ${before} to ${image}`;
  },

  chaos: async ({ net, hold_ms }) => {
    const services = VALIDATORS.map((_, i) => `chaos-${i + 1}`);
    await net.compose.run('up', '--detach', '--no-deps', ...services);
    try {
      await poll('a validator is cut off and stands still', CHAOS_MS, async () => {
        const told = await net.compose.run('logs', '--no-log-prefix', ...services);
        return /cut off: [1-9]/.test(told) && (await standsStill(net));
      });
      await sleep(hold_ms);
    } finally {
      // SIGTERM heals first
      await net.compose.run('rm', '--stop', '--force', ...services);
    }
    for (const name of VALIDATORS) {
      await net.untilStatus(name, 'sees a quorum', (status) => status.quorumReachable);
    }
    return 'validators cut off in turn, from within their networks';
  },
};

/** Whether a validator that holds events makes none final, while others do. */
async function standsStill(net: Network): Promise<boolean> {
  const look = () => Promise.all(VALIDATORS.map((name) => net.api(name).status()));
  const before = await look();
  await sleep(STILL_MS);
  const after = await look();
  const stands = after.map(({ finalSeq }, i) => finalSeq === before[i]?.finalSeq);
  return stands.some((still, i) => still && (after[i]?.pending ?? 0) > 0) && stands.includes(false);
}

/** `x0t member ...` with the operator's key, in the one container that has it. */
function operator(net: Network, change: string, what: string): Promise<string> {
  const node = ['--url', 'http://node-1.api:8420', '--key', '/net/operators/operator-1.key'];
  const command = ['member', change, what, '--wait', '--timeout', '60', ...node];
  return net.compose.run('run', '--rm', '--no-deps', '-T', 'operator', ...command);
}

/** Connects and starts every node; what is connected and runs stays as it is. */
export async function startAll({ compose }: Network): Promise<void> {
  for (const name of NODES) {
    await compose.connect(name);
    await compose.start(name);
  }
}

/** Brings all up, or what is not up yet. */
export async function up(net: Network): Promise<void> {
  await net.compose.run('up', '--detach', '--wait', '--wait-timeout', `${UP_S}`);
  await net.find();
}

/** Ends all and deletes the data. */
export async function down(net: Network): Promise<void> {
  const profiles = ['metrics', 'chaos', 'tools'].flatMap((name) => ['--profile', name]);
  await net.compose.run(...profiles, 'down', '--volumes', '--timeout', '30');
}
