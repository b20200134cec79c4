import test from 'ava';
import { sealBlock } from '#ledger/block.ts';
import { codeOf } from '#ledger/errors.ts';
import { signEvent } from '#ledger/event.ts';
import type { Body } from '#ledger/event.ts';
import { EVIDENCE_KIND, evidenceBody, readEvidence } from '#ledger/evidence.ts';
import { innerJobs } from '#ledger/inner-jobs.ts';
import { verdictName } from '#ledger/verdicts.ts';
import { loadEngine } from '#native/engine.ts';
import { listMembers } from '#projections/index.ts';
import { areIn, changeCommittee, joining, operatorEvent } from '#test/support/epochs.ts';
import { Rogue } from '#test/support/rogue.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';

/** Who signs two blocks for one slot is reported once, and loses its seat by rule. */

async function twinsOf(cluster: SimCluster, author: number) {
  const rogue = new Rogue(cluster, author);
  const a = await rogue.seal(1, 'a');
  const b = await rogue.seal(1, 'b');
  if (!a || !b) throw new Error('no quorum');
  return { rogue, a, b };
}

test('an equivocator is removed by one report, and its key gets no seat again', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 21 }, [3]);
  const { rogue, a, b } = await twinsOf(cluster, 3);
  await rogue.give(a, [0, 1, 2]);
  await rogue.give(b, [0, 1, 2]);
  t.true(await cluster.until(() => areIn(cluster, 1), 10_000));
  await cluster.run(20_000);
  t.is(cluster.at(0).core.replica.fold.size, 1, 'one report');
  t.is(cluster.at(0).core.replica.committee.size, 3);
  const who = cluster.net.validators[3];
  if (!who) throw new Error('no validator');
  const shown = listMembers(cluster.at(1).core.rows('members', 'final'));
  const { roles, barred } = shown.find(({ actor }) => actor === who.actor) ?? {};
  t.deepEqual([roles, barred], [[], true]);
  const id = await changeCommittee(cluster, 0, [joining(who, 'peer-3')]);
  t.true(await cluster.until(() => cluster.haveFinal(2), 5000));
  const event = cluster.at(2).core.log.event(id);
  t.is(event?.state === 'final' && verdictName(event.final.verdict), 'member_barred');
  t.true(areIn(cluster, 1), 'a change that is refused ends no epoch');
  t.is(new Set(cluster.summaries()).size, 1);
  await cluster.stop();
});

test('the report is made again by others when the first witness is away', async (t) => {
  const cluster = await SimCluster.start({ validators: 7, seed: 22 }, [6]);
  const { rogue, a, b } = await twinsOf(cluster, 6);
  // none but two hold both blocks, and those may be the last to speak
  await rogue.give(a, [0, 1]);
  await rogue.give(b, [0, 1]);
  await cluster.crash(0);
  t.true(await cluster.until(() => areIn(cluster, 1, [1, 2, 3, 4, 5]), 30_000));
  t.is(cluster.at(1).core.replica.committee.size, 6);
  await cluster.stop();
});

test('evidence is verified without state: forms, and both signatures', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 23 }, [3]);
  const engine = await loadEngine('liboqs');
  const { a, b } = await twinsOf(cluster, 3);
  const key = cluster.net.validators[3]?.coseKey as Uint8Array;
  const other = cluster.net.validators[2]?.coseKey as Uint8Array;
  const body = evidenceBody(a, b, key);
  t.deepEqual(evidenceBody(b, a, key), body, 'one form of one pair');
  t.is(readEvidence(body)?.round, 1);
  const jobs = innerJobs({ kind: EVIDENCE_KIND, body } as never);
  t.deepEqual(jobs.map((job) => engine.verify(job)), [true, true]);
  t.is(innerJobs({ kind: 'kv.put/1', body } as never).length, 0);
  const { headerA, sigA, headerB, sigB } = body as Record<string, Uint8Array>;
  t.is(readEvidence({ headerA, sigA, headerB: headerA, sigB: sigA, key }), undefined);
  const turned = { headerA: headerB, sigA: sigB, headerB: headerA, sigB: sigA, key };
  t.is(readEvidence(turned as Body), undefined);
  t.is(readEvidence({ ...body, key: key.subarray(1) }), undefined);
  const elsewhere = await sealBlock({ ...a.header, round: 2 }, [], [], signerOf(cluster, 3));
  t.is(readEvidence(evidenceBody(a, elsewhere, key)), undefined);
  const submit = async (wrong: Body): Promise<string> => {
    const entry = await operatorEvent(cluster, EVIDENCE_KIND, wrong);
    const operator = cluster.net.operators[0]?.coseKey as Uint8Array;
    try {
      await cluster.during(cluster.at(0).core.submit(entry.bytes, operator));
      return 'accepted';
    } catch (error) {
      return codeOf(error);
    }
  };
  t.is(await submit({ ...body, sigA: sigB, sigB: sigA }), 'bad_event_signature');
  t.is(await submit({ ...body, key: other }), 'bad_event_signature');
  t.is(await submit({ ...body, headerB: headerA }), 'bad_body');
  // another's headers under its own key: signed well, but no validator's
  const stranger = cluster.net.operators[0];
  if (!stranger) throw new Error('no operator');
  const [c, d] = [
    await sealBlock(a.header, [], [], stranger.signer),
    await sealBlock({ ...a.header, ts_ms: 5 }, [], [], stranger.signer),
  ];
  t.is(await submit(evidenceBody(c, d, stranger.coseKey)), 'accepted');
  t.true(await cluster.until(() => cluster.haveFinal(1), 5000));
  t.is(verdictName(cluster.at(0).core.log.at(1)?.verdict ?? 0), 'evidence_unfounded');
  t.is(await submit(body), 'accepted');
  t.is(await submit(body), 'accepted');
  t.true(await cluster.until(() => cluster.haveFinal(3), 5000));
  t.is(verdictName(cluster.at(0).core.log.at(3)?.verdict ?? 0), 'evidence_known');
  await cluster.stop();
});

test('a block with evidence whose signatures do not fit is invalid', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 24 }, [3]);
  const { rogue, a, b } = await twinsOf(cluster, 3);
  const key = cluster.net.validators[3]?.coseKey as Uint8Array;
  const body = evidenceBody(a, b, key);
  const { sigA, sigB } = body as Record<string, Uint8Array>;
  const operator = cluster.net.operators[0];
  if (!operator) throw new Error('no operator');
  const entry = await operatorEvent(cluster, EVIDENCE_KIND, { ...body, sigA: sigB, sigB: sigA });
  const block = await sealBlock(a.header, [entry], [operator.coseKey], signerOf(cluster, 3));
  await t.throwsAsync(rogue.give(block, [0]), { message: /signature does not fit/ });
  await cluster.stop();
});

test('evidence of an earlier epoch still bars, and ends no further epoch', async (t) => {
  const cluster = await SimCluster.start({ validators: 4, seed: 25 }, [3]);
  const { a, b } = await twinsOf(cluster, 3);
  const who = cluster.net.validators[3];
  const operator = cluster.net.operators[0];
  if (!who || !operator) throw new Error('no actors');
  await changeCommittee(cluster, 0, [], [who]);
  t.true(await cluster.until(() => areIn(cluster, 1), 10_000));
  const entry = await signEvent(
    {
      chain: cluster.net.chain.id,
      actor: operator.actor,
      lane: 8,
      seq: 1,
      kind: EVIDENCE_KIND,
      body: evidenceBody(a, b, who.coseKey),
      hlc: [0, 0],
    },
    operator.signer,
  );
  await cluster.during(cluster.at(1).core.submit(entry.bytes, operator.coseKey));
  t.true(await cluster.until(() => cluster.haveFinal(2), 5000));
  await cluster.run(2000);
  t.true(areIn(cluster, 1));
  t.is(cluster.at(0).core.log.at(2)?.verdict, 0);
  await cluster.stop();
});

function signerOf(cluster: SimCluster, author: number) {
  const who = cluster.net.validators[author];
  if (!who) throw new Error('no validator');
  return who.signer;
}
