import { X509Certificate } from 'node:crypto';
import test from 'ava';
import { codeOf } from '#ledger/errors.ts';
import type { SpiffeTrust } from '#node/auth/svid-callers.ts';
import { validateJwtSvid } from '#node/identity/jwt-svid.ts';
import { validateX509Svid } from '#node/identity/x509-svid.ts';
import { ada, bob } from '#test/ledger/fold-support.ts';
import { craftCa } from '#test/identity/craft.ts';
import type { Crafted } from '#test/identity/craft.ts';
import {
  StolenIssuer, caWish, connectionOf, idOf, twoIssuers,
} from '#test/identity/two-issuers.ts';
import { newGenesisSchema } from '#node/schema.ts';
import { netOf, seededActor } from '#test/support/seeded-actor.ts';
import { makeFinal, startSingleNode } from '#test/support/single-node.ts';

/** Whom the API believes of its own trust domain: issuer by issuer, entry by entry. */

const certificates = (chain: readonly Crafted[]) => chain.map(({ certificate }) => certificate);

async function codeOfX509(trust: SpiffeTrust, chain: readonly Crafted[]): Promise<string> {
  try {
    return validateX509Svid(certificates(chain), trust, Date.now()).id.path;
  } catch (error) {
    return codeOf(error);
  }
}

async function codeOfJwt(trust: SpiffeTrust, token: string): Promise<string> {
  try {
    return (await validateJwtSvid(token, ['api'], trust, Date.now())).id.path;
  } catch (error) {
    return codeOf(error);
  }
}

const UNREGISTERED = 'svid_not_registered';

/** What the same signer gets with a certificate and with a token. */
async function both(trust: SpiffeTrust, by: StolenIssuer, path: string): Promise<string> {
  const codes = [
    await codeOfX509(trust, await by.x509(path)),
    await codeOfJwt(trust, await by.jwt(path, 'api')),
  ];
  return codes[0] === codes[1] ? String(codes[0]) : codes.join(' ');
}

test('the keys of a node vouch for that node, and for no other', async (t) => {
  const { trust, ofAda, ofBob } = await twoIssuers(t);
  t.is(await both(trust, ofBob, `node/${bob}`), `/node/${bob}`);
  t.is(await both(trust, ofBob, `node/${ada}`), UNREGISTERED);
  t.is(await both(trust, ofAda, `node/${ada}`), `/node/${ada}`);
  t.is(await both(trust, ofBob, `node/${bob}/more`), UNREGISTERED);
  t.is(await both(trust, ofBob, 'node'), UNREGISTERED);
});

test('the keys of a node vouch for what entries let it issue, while they are there', async (t) => {
  const { trust, ofAda, ofBob, enter, onAda } = await twoIssuers(t);
  t.is(await both(trust, ofBob, 'web'), UNREGISTERED, 'there is no entry');
  enter('web', {});
  t.is(await both(trust, ofBob, 'web'), '/web');
  t.is(await both(trust, ofAda, 'web'), '/web');
  enter('web', onAda);
  t.is(await both(trust, ofBob, 'web'), UNREGISTERED, 'on other hosts only');
  t.is(await both(trust, ofAda, 'web'), '/web');
  t.is(await both(trust, ofAda, 'webs'), UNREGISTERED);
  enter('web');
  t.is(await both(trust, ofAda, 'web'), UNREGISTERED, 'what was issued before ends with its entry');
});

test('an SVID that holds for longer than its entry allows is refused', async (t) => {
  const { trust, ofAda, enter } = await twoIssuers(t);
  enter('web', { x509Ttl_s: 600, jwtTtl_s: 60 });
  t.is(await codeOfX509(trust, await ofAda.x509('web', 600_000)), '/web');
  t.is(await codeOfX509(trust, await ofAda.x509('web', 700_000)), UNREGISTERED);
  t.is(await codeOfJwt(trust, await ofAda.jwt('web', 'api', 60_000)), '/web');
  t.is(await codeOfJwt(trust, await ofAda.jwt('web', 'api', 160_000)), UNREGISTERED);
  const day_ms = 19 * 3_600_000;
  const own = await ofAda.x509(`node/${ada}`, day_ms);
  t.is(await codeOfX509(trust, own), UNREGISTERED, 'a node gives itself an hour');
});

test('who publishes the keys of another takes nothing from it', async (t) => {
  const { trust, ledger, ofAda, ofBob, enter, onAda } = await twoIssuers(t);
  enter('web', onAda);
  for (const [parent, subject] of [
    [ofAda.root, ofAda.root.subject],
    [ofAda.intermediate, ofAda.intermediate.subject],
  ] as const) {
    const key = new X509Certificate(parent.der).publicKey;
    const spki = Uint8Array.from(key.export({ format: 'der', type: 'spki' }));
    const { der } = await craftCa({ ...caWish(), subject, spki });
    const { body } = await StolenIssuer.make();
    ledger.say(bob, 'identity.authority/1', { ...body, x509: der });
    t.is(ledger.verdicts.at(-1), 'applied');
  }
  t.is(trust.x509AuthoritiesOf(new URL(idOf('web')).host)?.length, 4);
  t.is(await both(trust, ofAda, 'web'), '/web');
  t.is(await both(trust, ofBob, 'web'), UNREGISTERED);
  t.is(await both(trust, ofBob, `node/${ada}`), UNREGISTERED);
});

test('on a connection that is kept, the entry is asked for again for each request', async (t) => {
  const { trust, ofAda, enter, service } = await twoIssuers(t);
  enter('web', {});
  const ask = connectionOf(trust, await ofAda.x509('web'));
  const caller = await ask();
  t.is(caller.principal.id, idOf('web'));
  t.notThrows(() => caller.assertHolds());
  let changes = 0;
  service.trust?.subscribe(() => (changes += 1));
  enter('web');
  t.true(changes > 0, 'those who hold streams open are told');
  t.throws(() => caller.assertHolds(), { code: UNREGISTERED });
  await t.throwsAsync(ask, { code: UNREGISTERED });
  enter('web', {});
  t.is((await ask()).principal.id, idOf('web'));
});

test('an open stream of the API ends with the entry of its reader', async (t) => {
  const { trust, ofAda, enter } = await twoIssuers(t);
  enter('web', {});
  const operator = seededActor('issuers operator');
  const net = netOf([seededActor('issuers validator')], [operator], 'issuers', newGenesisSchema());
  const node = await startSingleNode({ net, trust: async () => trust });
  t.teardown(() => node.close());
  const text = `permit (principal == Spiffe::"${idOf('web')}", action, resource);`;
  await makeFinal(node, 1, { kind: 'policy.put/1', body: { id: 'web', text } });
  const base = await node.api.listen({ host: '127.0.0.1', port: 0 });
  const [audience] = trust.ownIds;
  const token = await ofAda.jwt('web', audience ?? '');
  const headers = { authorization: `Bearer ${token}` };
  const stream = await fetch(`${base}/v1/log/stream`, { headers });
  t.is(stream.status, 200);
  enter('web');
  t.regex(await stream.text(), /event: error\ndata: \{"code":"svid_not_registered".*\n\n$/);
  const status = await fetch(`${base}/v1/status`, { headers });
  t.is(status.status, 401);
  t.like(await status.json(), { code: UNREGISTERED });
});
