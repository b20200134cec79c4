import test from 'ava';
import { entryOf } from '#ledger/event.ts';
import type { Body, Entry } from '#ledger/event.ts';
import { bytesOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import { newGenesisSchema, schemaFor } from '#node/schema.ts';
import { GRADES, RECOVER_MS, STAY_MS } from '#projections/posture-grades.ts';
import { HandFold } from '#test/ledger/fold-support.ts';
import { CREATED_MS } from '#test/support/cluster.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import { seededNet } from '#test/support/seeded-actor.ts';

/** What the shipped policies take away by each grade, in the log and at the API. */

const net = seededNet(4, 2, 'posture-policy', newGenesisSchema());
const { id: chain, genesis } = net.chain;
const [boss, subject] = net.operators.map(({ actor }) => actor) as [Id, Id];
const T = CREATED_MS + 1_000_000;

class Log extends HandFold {
  #seq = 0;

  constructor() {
    super(new MemoryStore(), undefined, schemaFor(genesis), genesis);
  }

  entry(actor: Id, kind: string, body: Body): Entry {
    const seq = (this.#seq += 1);
    return entryOf({ chain, actor, lane: 0, seq, kind, body, hlc: [0, 0] });
  }

  put(actor = subject): Entry {
    return this.entry(actor, 'kv.put/1', { key: 'k', value: Uint8Array.of(1) });
  }

  isolate(grade: string, until_ms = T + 1_000_000): Entry {
    const body = { actor: bytesOf(subject), grade, reason: 'a drill', until_ms, by: 'operator' };
    return this.entry(boss, 'posture.isolate/1', body);
  }

  recover(): Entry {
    const body = { actor: bytesOf(subject), reason: 'a drill', by: 'operator' };
    return this.entry(boss, 'posture.recover/1', body);
  }

  mayCall(action: string, at_ms: number, actor = subject): boolean {
    const call = {
      principal: { type: 'Actor', id: actor },
      action,
      resource: { type: action.startsWith('api.kv') ? 'Key' : 'Api', id: 'x' },
      context: { operation: 'x' },
    };
    return this.fold.reducer.callPermission(call, at_ms)?.isAllowed === true;
  }
}

const ALLOWED: Readonly<Record<string, string>> = {
  none: 'write own read apiWrite',
  monitored: 'write own read apiWrite',
  rate_limited: 'write own read apiWrite',
  restricted: 'own read',
  quarantined: '',
  blocked: '',
};

test('each grade takes away what the table says, of the member and of nobody else', (t) => {
  for (const grade of GRADES) {
    const log = new Log();
    if (grade !== 'none') t.deepEqual(log.verdicts([log.isolate(grade)], T), ['applied']);
    const own = log.entry(subject, 'committee.leave/1', {});
    // it has no seat: what policies let through is refused by the reducer
    const [write, leave, others] = log.verdicts([log.put(), own, log.put(boss)], T + 1);
    const may = [
      write === 'applied' && 'write',
      leave === 'not_validator' && 'own',
      log.mayCall('api.log.read', T) && 'read',
      log.mayCall('api.kv.write', T) && 'apiWrite',
    ];
    t.is(may.filter(Boolean).join(' '), ALLOWED[grade] ?? 'unknown', grade);
    t.is(others, 'applied');
    t.true(log.mayCall('api.kv.write', T, boss));
    if (write !== 'applied') t.is(write, 'denied');
  }
});

test('in one commit: what comes before the isolation is applied, what comes after is not', (t) => {
  const log = new Log();
  const [before, isolation, after] = [log.put(), log.isolate('restricted'), log.put()];
  t.deepEqual(log.verdicts([before, isolation, after], T), ['applied', 'applied', 'denied']);
});

test('it ends with its time, by the time of the commit and by the clock of a call', (t) => {
  const log = new Log();
  t.deepEqual(log.verdicts([log.isolate('blocked', T + 500)], T), ['applied']);
  t.deepEqual(log.verdicts([log.put()], T + 499), ['denied']);
  t.false(log.mayCall('api.log.read', T + 499));
  t.true(log.mayCall('api.log.read', T + 500));
  t.deepEqual(log.verdicts([log.put()], T + 500), ['applied']);
});

test('lowered step by step, it may do more from that event on', (t) => {
  const log = new Log();
  log.verdicts([log.isolate('quarantined')], T);
  const at_ms = T + STAY_MS;
  const lowered = log.verdicts([log.put(), log.recover(), log.recover()], at_ms);
  t.deepEqual(lowered, ['denied', 'applied', 'posture_too_soon']);
  t.true(log.mayCall('api.log.read', at_ms), 'restricted now');
  const again = log.verdicts([log.put(), log.recover(), log.put()], at_ms + RECOVER_MS);
  t.deepEqual(again, ['denied', 'applied', 'applied']);
});

test('a restricted operator minds its own membership, and nobody else\'s', (t) => {
  const log = new Log();
  const [validator] = net.validators.map(({ actor }) => actor) as [Id];
  log.verdicts([log.isolate('restricted')], T);
  const key = { actor: bytesOf(boss), key: bytesOf(boss), reason: 'a coup' };
  const others = [
    log.entry(subject, 'member.drain/1', { actor: bytesOf(validator) }),
    log.entry(subject, 'member.revoke/1', key),
    log.entry(subject, 'member.cordon/1', { actor: bytesOf(validator) }),
  ];
  t.deepEqual(log.verdicts(others, T + 1), ['denied', 'denied', 'denied']);
  const own = log.entry(subject, 'member.drain/1', { actor: bytesOf(subject) });
  t.deepEqual(log.verdicts([own], T + 2), ['applied']);
});

test('an isolated operator can neither isolate others nor lift its own isolation', (t) => {
  const log = new Log();
  log.verdicts([log.isolate('restricted')], T);
  const blocked = { grade: 'blocked', reason: 'back', until_ms: T + 9, by: 'operator' };
  const body = { actor: bytesOf(boss), ...blocked };
  const back = log.entry(subject, 'posture.isolate/1', body);
  const own = { actor: bytesOf(subject), reason: 'me', by: 'operator' };
  const lift = log.entry(subject, 'posture.recover/1', own);
  t.deepEqual(log.verdicts([back, lift], T + 1), ['denied', 'denied']);
});
