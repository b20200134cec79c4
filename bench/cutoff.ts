import { monitorEventLoopDelay } from 'node:perf_hooks';
import { bytesOf } from '#ledger/ids.ts';
import { verdictName } from '#ledger/verdicts.ts';
import type { Node } from '#node/node.ts';
import { MemberNet } from '#test/support/member-net.ts';
import type { Told } from '#test/support/member-net.ts';

/**
 * How soon what is final takes effect: four validators and a member in this process, on real links
 * and at the real API, while a validator writes. A link: from the moment at which its validator
 * tells that the event is final (`own`, the slowest of four), and from that at which the first of
 * them tells it to the last link being gone (`all`). A request: from the latter to the first one
 * that is refused.
 */
export async function cutoff(rounds: number, say: (line: string) => void): Promise<object> {
  const net = await MemberNet.start(4);
  const load = { isOver: false };
  const write = async (): Promise<void> => {
    const { core } = net.first;
    for (let n = 0; !load.isOver; n += 1) {
      const body = { key: `t/${n % 100}`, value: new Uint8Array(64) };
      const { id } = await core.author('kv.put/1', body, false);
      await core.waitFinal(id, 5_000);
    }
  };
  const writing = write();
  const [isolation, removal] = [new Cuts(), new Cuts()];
  const policy: number[] = [];
  // all nodes share one thread: where it stood still, so did the measurement
  const loop = monitorEventLoopDelay({ resolution: 1 });
  loop.enable();
  const stalls: number[] = [];
  try {
    for (let round = 0; round < rounds; round += 1) {
      const until_ms = Date.now() + ISOLATED_MS;
      const body = { actor: actorOf(net), grade: 'blocked', reason: 'bench', until_ms };
      loop.reset();
      const cut = applied(await net.operate('posture.isolate/1', { ...body, by: 'operator' }));
      isolation.add(cut, await net.cutOff());
      stalls.push(loop.max / 1e6);
      const text = 'forbid (principal, action == Action::"api.chain.read", resource);';
      const forbidden = applied(await net.operate('policy.put/1', { id: 'cut', text }));
      while ((await net.get('/v1/members')).status !== 403);
      policy.push(performance.now() - forbidden.told_ms);
      await net.operate('policy.delete/1', { id: 'cut' });
      await net.member.stop();
      await net.join();
      const gone = { actor: actorOf(net), reason: 'bench' };
      loop.reset();
      const removed = applied(await net.operate('member.remove/1', gone));
      removal.add(removed, await net.cutOff());
      stalls.push(loop.max / 1e6);
      const all = [isolation.all, policy, removal.all].map((one) => one.at(-1)?.toFixed(1));
      say(`cutoff ${round + 1}/${rounds}: ${all.join(', ')} ms`);
      await net.member.stop();
      await net.join();
    }
  } finally {
    load.isOver = true;
    await writing;
    await net.stop();
  }
  return {
    rounds,
    isolation_ms: isolation.summary,
    removal_ms: removal.summary,
    policy_ms: summary(policy),
    stall_ms: summary(stalls),
  };
}

const actorOf = (net: MemberNet): Uint8Array => bytesOf(net.member.status().actor);

/** Longer than the measurement. */
const ISOLATED_MS = 3_600_000;

/** Links that went, after the validator itself told the event, and after the first of all did. */
class Cuts {
  readonly own: number[] = [];
  readonly all: number[] = [];

  add({ told_ms, each_ms }: Told, gone: ReadonlyMap<Node, number>): void {
    // a link may be seen to be gone in the turn in which its end tells the event
    const own = [...gone].map(([node, at_ms]) => Math.max(0, at_ms - (each_ms.get(node) ?? at_ms)));
    this.own.push(Math.max(...own));
    this.all.push(Math.max(...gone.values()) - told_ms);
  }

  get summary(): object {
    return { own: summary(this.own), all: summary(this.all) };
  }
}

function applied<T extends { readonly verdict: number }>(final: T): T {
  if (final.verdict !== 0) throw new Error(verdictName(final.verdict));
  return final;
}

function summary(values: readonly number[]): { readonly p50: number; readonly max: number } {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number): number => Math.round((sorted[index] ?? 0) * 10) / 10;
  return { p50: at(Math.floor((sorted.length - 1) / 2)), max: at(sorted.length - 1) };
}
