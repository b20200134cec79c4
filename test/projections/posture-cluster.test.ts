/** Posture in a cluster of cores, on the fake network and in virtual time. */
import test from 'ava';
import { signEvent } from '#ledger/event.ts';
import type { FinalEvent } from '#ledger/fold.ts';
import { verdictName } from '#ledger/verdicts.ts';
import { GRADES } from '#projections/posture-grades.ts';
import { Rogue } from '#test/support/rogue.ts';
import { PostureCluster } from '#test/support/posture-cluster.ts';

/** What happened to the subject, in the order of the log. */
interface Step {
  readonly kind: string;
  readonly grade: string;
  readonly verdict: string;
}

const VILLAIN = 3;

function stepsIn(finals: readonly FinalEvent[]): Step[] {
  return finals.flatMap(({ entry: { event }, verdict }) => {
    const { kind, body } = event;
    const grade = typeof body['grade'] === 'string' ? body['grade'] : '';
    return kind === 'posture.isolate/1' || kind === 'posture.recover/1'
      ? [{ kind, grade, verdict: verdictName(verdict) }]
      : [];
  });
}

test('a node that sends broken messages is isolated step by step, and recovers', async (t) => {
  const cluster = await PostureCluster.start(4);
  const { sim } = cluster;
  const villain = sim.at(VILLAIN);
  const { actor, coseKey, signer } = villain.who;
  let seq = 1;
  /** Past its own admission: a traitor asks nobody. */
  const write = async (): Promise<void> => {
    const body = { key: `villain/${seq}`, value: Uint8Array.of(1) };
    const draft = { chain: sim.net.chain.id, actor, lane: 1, kind: 'kv.put/1', body };
    const entry = await signEvent({ ...draft, seq: (seq += 1), hlc: [0, 0] }, signer);
    const item = { entry, coseKey, isOwn: true, due_ms: 0 };
    await sim.during(villain.core.replica.submit(item, true));
  };
  const misbehave = (): void => {
    villain.network.tell(['peer-0', 'peer-1', 'peer-2'], 'block', Uint8Array.of(seq, seq >> 8, 7));
  };
  const grades = (): string[] =>
    cluster.services.map((one) => one.list().find((row) => row.actor === actor)?.grade ?? 'none');
  for (let each = 0; each < 60 && grades()[0] !== 'blocked'; each += 1) {
    await write();
    misbehave();
    // less often than would have it banned for a while
    await sim.run(60_000);
  }
  t.deepEqual(new Set(grades().slice(0, 3)), new Set(['blocked']));
  const cuts = [...cluster.cuts].filter((cut) => cut.endsWith('peer-3'));
  t.is(cuts.length, 0, 'a validator stays linked: a quorum may need its blocks');
  const up = stepsIn(sim.at(0).finals);
  t.deepEqual(
    up.map(({ kind, grade, verdict }) => `${kind} ${grade} ${verdict}`),
    GRADES.slice(1).map((grade) => `posture.isolate/1 ${grade} applied`),
    'one event for each grade, each applied',
  );
  const isNamed = cluster.services[0]?.list()[0]?.reports.length;
  t.is(isNamed, 3);
  // it writes on while it is blocked, and behaves from now on
  await write();
  for (let each = 0; each < 60 && grades()[0] !== 'none'; each += 1) await sim.run(60_000);
  await write();
  t.true(await sim.until(() => new Set(sim.summaries()).size === 1, 60_000), 'all agree again');
  await sim.run(5_000);
  t.deepEqual(new Set(grades()), new Set(['none']));
  t.deepEqual([...cluster.cuts], []);
  const down = stepsIn(sim.at(0).finals).slice(up.length);
  const applied = down.filter(({ verdict }) => verdict === 'applied');
  t.deepEqual(applied.map(({ kind }) => kind), GRADES.slice(1).map(() => 'posture.recover/1'));
  // an idle network's commits tell old times: then a step is said again
  t.true(down.length < 2 * applied.length);
  const reports = sim.at(0).finals.filter(({ entry, verdict }) => {
    return entry.event.kind === 'posture.report/1' && verdict === 0;
  });
  t.true(reports.length >= 36, `${reports.length}: a report that came too soon comes again`);
  checkOrder(t, sim.at(0).finals, actor);
  for (const index of [1, 2]) {
    t.deepEqual(stepsIn(sim.at(index).finals), stepsIn(sim.at(0).finals));
  }
  await cluster.stop();
});

/** Nothing of the subject's is applied from the grade on that forbids it, until it is lowered. */
function checkOrder(
  t: { true: (is: boolean, why?: string) => void; deepEqual: (a: unknown, b: unknown) => void },
  finals: readonly FinalEvent[],
  actor: string,
): void {
  let level = 0;
  const seen = { applied: 0, denied: 0 };
  let after = 0;
  for (const { entry: { event }, verdict } of finals) {
    const name = verdictName(verdict);
    if (event.kind === 'posture.isolate/1' && name === 'applied') {
      level = (GRADES as readonly unknown[]).indexOf(event.body['grade']);
    } else if (event.kind === 'posture.recover/1' && name === 'applied') {
      level -= 1;
    } else if (event.actor === actor && event.kind === 'kv.put/1') {
      t.deepEqual([level, name], [level, level >= 3 ? 'denied' : 'applied']);
      if (name === 'applied') seen.applied += 1;
      else seen.denied += 1;
      after = level;
    }
  }
  t.true(seen.applied > 5 && seen.denied > 5, JSON.stringify(seen));
  t.deepEqual(after, 0);
}

test('one liar gets nobody isolated; two validators that agree do', async (t) => {
  const cluster = await PostureCluster.start(4);
  const { sim } = cluster;
  const subject = Uint8Array.fromHex(sim.at(1).who.actor);
  const report = async (index: number): Promise<void> => {
    const now_ms = sim.clock.wall_ms();
    const body = {
      actor: subject, what: 'invalid_message', count: 1000, from_ms: now_ms, to_ms: now_ms,
    };
    await sim.during(sim.at(index).core.author('posture.report/1', body, true));
  };
  for (let each = 0; each < 10; each += 1) {
    await report(2);
    await sim.run(61_000);
  }
  const lie = {
    actor: subject, grade: 'blocked', reason: 'because', by: 'rule',
    until_ms: sim.clock.wall_ms() + 60_000,
    basis: cluster.services[0]?.list()[0]?.reports.flatMap(({ ids }) => ids.map((id) =>
      Uint8Array.fromHex(id))) ?? [],
  };
  await sim.during(sim.at(2).core.author('posture.isolate/1', lie, true));
  await sim.run(5_000);
  const told = stepsIn(sim.at(0).finals);
  t.deepEqual(told, [{ kind: 'posture.isolate/1', grade: 'blocked', verdict: 'posture_not_due' }]);
  await report(0);
  await report(2);
  await sim.run(10_000);
  const since = stepsIn(sim.at(3).finals).slice(1);
  t.deepEqual(since, [{ kind: 'posture.isolate/1', grade: 'monitored', verdict: 'applied' }]);
  t.is(new Set(sim.summaries()).size, 1);
  await cluster.stop();
});

test('evidence of equivocation blocks its author without any report', async (t) => {
  const cluster = await PostureCluster.start(4, [3]);
  const { sim } = cluster;
  const rogue = new Rogue(sim, 3);
  for (const key of ['a', 'b']) {
    const block = await rogue.seal(1, key);
    if (!block) throw new Error('no quorum');
    await rogue.give(block, [0, 1, 2]);
  }
  const steps = () => sim.nodes.map(({ finals }) => stepsIn(finals));
  t.true(await sim.until(() => steps().every((one) => one.length > 0), 60_000));
  await sim.run(60_000);
  const blocked = [{ kind: 'posture.isolate/1', grade: 'blocked', verdict: 'applied' }];
  t.deepEqual(steps(), [blocked, blocked, blocked]);
  const [view] = cluster.services[0]?.list() ?? [];
  t.like(view, { grade: 'blocked', isConvicted: true, reports: [] });
  t.is(view?.actor, sim.net.validators[3]?.actor);
  await cluster.stop();
});

test('an authority that is no certificate is a failed attestation of its node', async (t) => {
  const cluster = await PostureCluster.start(4);
  const { sim } = cluster;
  const broken = {
    x509: new Uint8Array(64).fill(1),
    jwt: { kid: 'k', x: new Uint8Array(32), y: new Uint8Array(32) },
    notAfter_ms: sim.clock.wall_ms() + 3_600_000,
  };
  await sim.during(sim.at(2).core.author('identity.authority/1', broken, true));
  // the readers of certificates are loaded in real time
  const reported = () => sim.at(0).finals.filter(({ entry }) => {
    return entry.event.kind === 'posture.report/1';
  });
  for (let each = 0; each < 1500 && reported().length < 3; each += 1) {
    await sim.run(1_000);
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
  const { actor } = sim.at(2).who;
  const bodies = reported().map(({ entry }) => entry.event.body);
  t.deepEqual(bodies.map(({ what, count }) => [what, count]), [
    ['failed_attestation', 1], ['failed_attestation', 1], ['failed_attestation', 1],
  ]);
  t.true(bodies.every((body) => (body['actor'] as Uint8Array).toHex() === actor));
  await sim.run(10_000);
  t.is(cluster.services[0]?.list().find((one) => one.actor === actor)?.grade, 'monitored');
  await cluster.stop();
});
