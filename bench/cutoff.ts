import { bytesOf } from '#ledger/ids.ts';
import { MemberNet, until } from '#test/support/member-net.ts';

/**
 * How soon what is final takes effect: four validators and a member in this process, on real links
 * and at the real API, while a validator writes. From the moment at which the first validator tells
 * that an event is final to the last validator's link to the member being gone, and to the first
 * request that is refused.
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
  const isolation: number[] = [];
  const policy: number[] = [];
  try {
    const { actor } = net.member.status();
    for (let round = 0; round < rounds; round += 1) {
      const until_ms = Date.now() + ISOLATED_MS;
      const body = { actor: bytesOf(actor), grade: 'blocked', reason: 'bench', until_ms };
      const cut = await net.operate('posture.isolate/1', { ...body, by: 'operator' });
      await until(() => net.isCutOff, 'the cut');
      isolation.push(performance.now() - cut.told_ms);
      const text = 'forbid (principal, action == Action::"api.chain.read", resource);';
      const forbidden = await net.operate('policy.put/1', { id: 'cut', text });
      while ((await fetch(`${net.first.url}/v1/members`)).status !== 403);
      policy.push(performance.now() - forbidden.told_ms);
      await net.operate('policy.delete/1', { id: 'cut' });
      await until(() => net.isLinked, 'the end of the isolation');
      say(`cutoff ${round + 1}/${rounds}: ${isolation.at(-1)} ms, ${policy.at(-1)} ms`);
    }
  } finally {
    load.isOver = true;
    await writing;
    await net.stop();
  }
  return { rounds, isolation_ms: summary(isolation), policy_ms: summary(policy) };
}

/** It ends by itself: a grade is lowered only after minutes. */
const ISOLATED_MS = 1_500;

function summary(values: readonly number[]): { readonly p50: number; readonly max: number } {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number): number => Math.round((sorted[index] ?? 0) * 10) / 10;
  return { p50: at(Math.floor((sorted.length - 1) / 2)), max: at(sorted.length - 1) };
}
