import test from 'ava';
import { bytesOf } from '#ledger/ids.ts';
import { sign1Of } from '#ledger/cose.ts';
import { SIGNATURE_BYTES } from '#ledger/limits.ts';
import type { Id } from '#ledger/ports.ts';
import { LedgerIdentity } from '#node/identity/ledger-identity.ts';
import type { IdentityView } from '#projections/identity.ts';
import { IdentityService } from '#node/identity/service.ts';
import { systemClock, systemEntropy as entropy } from '#node/system.ts';
import { seededActor } from '#test/support/seeded-actor.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';
import { ada, bob } from '#test/ledger/fold-support.ts';
import { HandLedger, authorityBody, domain, genesis } from './ledger.ts';
import { quietLog } from './support.ts';

/** What a member published counts as long as the member does. */

const [first, second] = genesis.operators as [Id, Id];
const reason = 'stolen';
const refused = (): void => undefined;

/** `second` is an issuer and has published an authority. */
async function rig() {
  const ledger = new HandLedger();
  ledger.say(first, 'identity.issuer/1', { actor: bytesOf(second), allowed: true });
  ledger.say(second, 'identity.authority/1', await authorityBody());
  ledger.say(ada, 'identity.authority/1', await authorityBody());
  const clock = new VirtualClock(Date.now());
  const parts = ledger.of(ada, () => clock.wall_ms());
  const view = (): IdentityView => parts.view() as IdentityView;
  const state = new LedgerIdentity({ ...parts, view, clock, log: quietLog, actor: ada });
  let changes = 0;
  state.subscribe(() => (changes += 1));
  parts.onChange((isChanged) => state.refresh(isChanged));
  return { ledger, state, clock, changes: () => changes };
}

const counted = ({ current }: LedgerIdentity): number[] => [
  current.bundle.x509.length,
  current.bundle.jwt.length,
];

const ends: readonly (readonly [string, string, object])[] = [
  ['is removed', 'member.remove/1', { actor: bytesOf(second), reason }],
  [
    'has its key revoked',
    'member.revoke/1',
    { actor: bytesOf(second), key: bytesOf(second), reason },
  ],
  [
    'is blocked',
    'posture.isolate/1',
    {
      actor: bytesOf(second),
      grade: 'blocked',
      reason,
      until_ms: Date.now() + 3_600_000,
      by: 'operator',
    },
  ],
];

for (const [what, kind, body] of ends) {
  test(`authorities of a member that ${what} count no more, at once`, async (t) => {
    const { ledger, state, changes } = await rig();
    t.deepEqual(counted(state), [2, 2]);
    const { sequence } = state.current.bundle;
    ledger.say(first, kind, body);
    t.deepEqual(ledger.verdicts, ['applied', 'applied', 'applied', 'applied']);
    t.deepEqual(counted(state), [1, 1]);
    t.true((state.current.bundle.sequence ?? 0n) > (sequence ?? 0n));
    t.is(changes(), 1);
  });
}

test('milder grades take nothing; when an isolation ends, what was published counts', async (t) => {
  const { ledger, state, clock, changes } = await rig();
  const until_ms = clock.wall_ms() + 60_000;
  const isolate = (grade: string) =>
    ledger.say(first, 'posture.isolate/1', {
      actor: bytesOf(second), grade, reason, until_ms, by: 'operator',
    });
  isolate('restricted');
  t.deepEqual([counted(state), changes()], [[2, 2], 0]);
  isolate('quarantined');
  t.deepEqual(counted(state), [1, 1]);
  const { sequence = 0n } = state.current.bundle;
  await clock.run(61_000);
  state.refresh(false);
  t.deepEqual(counted(state), [2, 2]);
  t.true((state.current.bundle.sequence ?? 0n) > sequence);
  t.is(ledger.verdicts.at(-1), 'applied');
});

test('a new key does not bring back what was published with the revoked one', async (t) => {
  const { ledger, state } = await rig();
  ledger.say(first, 'member.revoke/1', { actor: bytesOf(second), key: bytesOf(second), reason });
  const { coseKey } = seededActor('the new key');
  // a fold looks at no signature
  const proof = sign1Of(new Uint8Array(SIGNATURE_BYTES));
  const body = { actor: bytesOf(second), key: coseKey, proof };
  ledger.say(first, 'member.rekey/1', body);
  t.deepEqual(ledger.verdicts.slice(-2), ['applied', 'applied']);
  t.deepEqual(counted(state), [1, 1]);
});

test('a node whose authority was taken out makes another', async (t) => {
  const ledger = new HandLedger();
  const service = await IdentityService.open(
    { socket: '', agent: '', isServed: true },
    { ledger: ledger.of(ada), actor: ada, clock: systemClock, entropy, log: quietLog, refused },
  );
  t.teardown(() => service.close());
  const kid = () => service.trust?.jwtAuthoritiesOf(domain)?.[0]?.kid;
  while (!service.own?.current) await new Promise(setImmediate);
  const old = kid() ?? '';
  ledger.say(first, 'identity.revocation/1', { actor: bytesOf(ada), kid: old });
  while (kid() === undefined) await new Promise(setImmediate);
  t.not(kid(), old);
});

test('a node that only validates forgets authorities as they end', async (t) => {
  const clock = new VirtualClock(Date.now());
  const ledger = new HandLedger();
  const life_ms = 30_000;
  const body = { ...(await authorityBody()), notAfter_ms: clock.wall_ms() + life_ms };
  ledger.say(ada, 'identity.authority/1', body);
  const service = await IdentityService.open(
    { socket: '', agent: '' },
    {
      ledger: ledger.of(bob),
      actor: bob,
      clock,
      entropy,
      log: quietLog,
      refused,
    },
  );
  t.teardown(() => service.close());
  t.is(service.trust?.jwtAuthoritiesOf(domain)?.length, 1);
  await clock.run(life_ms + 2_000);
  t.deepEqual(service.trust?.jwtAuthoritiesOf(domain), []);
});
