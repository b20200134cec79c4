import test from 'ava';
import { ACTIONS } from '#node/api/permission.ts';
import { Fold } from '#ledger/fold.ts';
import type { Body } from '#ledger/event.ts';
import { parseId } from '#ledger/ids.ts';
import type { PolicyEntity } from '#ledger/ports.ts';
import { verdictName } from '#ledger/verdicts.ts';
import { loadCedar } from '#native/cedar.ts';
import { CEDAR } from '#native/cedar-version.ts';
import { newGenesisSchema, policySchema, schemaFor } from '#node/schema.ts';
import { schema as withoutPolicies } from '#projections/index.ts';
import { codeIn } from '#test/support/codes.ts';
import { netOf, seededActor, seededNet } from '#test/support/seeded-actor.ts';
import {
  signedEvent, startSingleNode, submission, untilFinal,
} from '#test/support/single-node.ts';

const WEB: PolicyEntity = { type: 'Spiffe', id: 'spiffe://example.org/web' };
const OWNER: PolicyEntity = { type: 'Local', id: 'operator' };
let caller = OWNER;
const net = netOf(
  [seededActor('policy validator')],
  [seededActor('policy operator')],
  'policy',
  newGenesisSchema(),
);
const node = await startSingleNode({ net, principalOf: () => caller });
test.after.always(() => node.close());
let seq = 0;

async function send(kind: string, body: Body) {
  const entry = await signedEvent(node, (seq += 1), { kind, body });
  const payload = submission(entry, node.operator);
  const headers = { 'content-type': 'application/cbor' };
  return node.api.inject({ method: 'POST', url: '/v1/events', headers, payload });
}

/** Sends, and waits until it is final and stored. */
async function make(kind: string, body: Body): Promise<void> {
  const { statusCode, body: answer } = await send(kind, body);
  if (statusCode !== 202) throw new Error(answer);
  const { id } = JSON.parse(answer) as { id: string };
  const final = await node.core.waitFinal(parseId(id), 60_000);
  if (final?.verdict !== 0) throw new Error(`${kind}: ${verdictName(final?.verdict ?? -1)}`);
}

const put = (id: string, text: string) => make('policy.put/1', { id, text });
const get = (url: string) => node.api.inject(url);
const kvPut = (key: string) => ({ key, value: Uint8Array.of(1) });

test.serial('a policy refuses an event at admission, and is named', async (t) => {
  await make('kv.put/1', kvPut('locked/a'));
  await put(
    'lock',
    'forbid(principal, action in Action::"data", resource in KeyPrefix::"locked/");',
  );
  const refused = await send('kv.put/1', kvPut('locked/a'));
  t.is(refused.statusCode, 403);
  const { code, message, detail } = refused.json<{
    code: string; message: string; detail: { policies: string[] };
  }>();
  t.is(code, 'policy_denied');
  t.regex(message, /forbidden by lock/);
  t.deepEqual(detail.policies, ['lock']);
  await make('kv.put/1', kvPut('open/a'));
});

test.serial('the node as an author is asked for as everybody else', async (t) => {
  const headers = { 'content-type': 'text/plain' };
  const answer = await node.api.inject({
    method: 'PUT', url: '/v1/kv/locked/b?wait=final', headers, payload: 'x',
  });
  t.is(answer.statusCode, 403);
  t.is(answer.json<{ code: string }>().code, 'policy_denied');
});

test.serial('bad policies are refused with their code, and nothing changes', async (t) => {
  const before = (await get('/v1/policy')).json<object>();
  const cases = [
    ['permit(principal', 'policy_invalid', 422],
    ['permit(principal == Nobody::"x", action, resource);', 'policy_contradicts_schema', 422],
    ['forbid(principal, action, resource);', 'policy_lockout', 422],
  ] as const;
  for (const [text, code, status] of cases) {
    const answer = await send('policy.put/1', { id: 'bad', text });
    t.is(answer.statusCode, status);
    t.is(answer.json<{ code: string }>().code, code);
  }
  const late = await send('policy.delete/1', { id: 'lock', ifVersion: 0 });
  t.is(late.statusCode, 409);
  t.deepEqual((await get('/v1/policy')).json(), before);
});

test.serial('reads are asked for: a denied key is neither read nor listed', async (t) => {
  await make('kv.put/1', kvPut('secret/a'));
  await make('kv.put/1', kvPut('z'));
  await put(
    'secret',
    `forbid(principal is Spiffe, action == Action::"api.kv.read",
            resource in KeyPrefix::"secret/");`,
  );
  const keys = async () =>
    (await get('/v1/kv')).json<{ entries: { key: string }[] }>().entries.map(({ key }) => key);
  t.is((await get('/v1/kv/secret/a')).statusCode, 200);
  t.true((await keys()).includes('secret/a'));
  await put('web', `permit(principal == Spiffe::"${WEB.id}", action in Action::"read", resource);`);
  caller = WEB;
  const refused = await get('/v1/kv/secret/a');
  t.is(refused.statusCode, 403);
  t.is(refused.json<{ code: string }>().code, 'policy_denied');
  t.is((await get('/v1/kv?prefix=secret/')).statusCode, 403);
  t.is((await get('/v1/kv/locked/a')).statusCode, 200);
  t.deepEqual((await keys()).filter((key) => key.startsWith('secret/')), []);
  t.true((await keys()).includes('locked/a'));
  const count = (await keys()).length;
  for (let limit = 1; limit <= count; limit++) {
    const { next = '' } = (await get(`/v1/kv?limit=${limit}`)).json<{ next?: string }>();
    t.is(next === '', limit === count);
    t.false(next.startsWith('secret/'), 'nor is it named as the next one');
  }
  caller = OWNER;
  await put('stranger', 'forbid(principal is Spiffe, action, resource);');
  caller = WEB;
  t.is((await get('/v1/log')).statusCode, 403);
  t.is((await get('/openapi.json')).statusCode, 403);
  t.is((await get('/livez')).statusCode, 200);
  t.is((await get('/nope')).statusCode, 404);
  caller = OWNER;
});

test.serial('as shipped: members and the owner do all, the monitor reads metrics', async (t) => {
  type Method = 'GET' | 'DELETE';
  const statusOf = async (principal: PolicyEntity, url: string, method: Method = 'GET') => {
    caller = principal;
    const { statusCode } = await node.api.inject({ method, url });
    caller = OWNER;
    return statusCode;
  };
  const { actor } = node.operator;
  const monitor = { type: 'Local', id: 'monitor' };
  const stranger = { type: 'Actor', id: 'ab'.repeat(32) };
  const other = { type: 'Spiffe', id: 'spiffe://example.org/other' };
  t.is(await statusOf({ type: 'Actor', id: actor }, '/v1/log'), 200);
  t.is(await statusOf({ type: 'Actor', id: actor }, '/v1/kv/open/a?wait=final', 'DELETE'), 200);
  t.is(await statusOf({ type: 'Actor', id: actor }, '/metrics'), 200);
  t.is(await statusOf(OWNER, '/v1/policy/decisions'), 200);
  t.is(await statusOf(monitor, '/metrics'), 200);
  for (const url of ['/v1/status', '/v1/log', '/v1/kv/a', '/openapi.json', '/v1/policy']) {
    t.is(await statusOf(monitor, url), 403, url);
  }
  for (const one of [stranger, other, { type: 'Anonymous', id: 'remote' }]) {
    for (const url of ['/metrics', '/v1/status', '/v1/log', '/v1/identity/bundle']) {
      t.is(await statusOf(one, url), 403, `${one.type} ${url}`);
    }
  }
});

test.serial('explained, audited, listed with history', async (t) => {
  const { actor } = node.operator;
  const ask = (key: string) =>
    get(`/v1/policy/explain?principal=${actor}&action=kv.put/1&resource=Key::${key}`);
  const no = (await ask('locked/x')).json<{ isAllowed: boolean; policies: { id: string }[] }>();
  t.false(no.isAllowed);
  t.deepEqual(no.policies.map(({ id }) => id), ['lock']);
  const yes = (await ask('x')).json<{ isAllowed: boolean; policies: { id: string }[] }>();
  t.deepEqual(yes.policies.map(({ id }) => id), ['default.data']);
  t.is((await get('/v1/policy/explain?principal=x&action=a&resource=b')).statusCode, 400);
  const whose = `principal=${actor}&onBehalfOf=${actor}`;
  const both = await get(`/v1/policy/explain?${whose}&action=kv.put/1&resource=Key::x`);
  t.true(both.json<{ isAllowed: boolean }>().isAllowed);

  const { denied, decisions } = (await get('/v1/policy/decisions?isAllowed=false&limit=1000'))
    .json<{ denied: number; decisions: Record<string, unknown>[] }>();
  t.is(denied, decisions.reduce((sum, { count }) => sum + Number(count), 0));
  t.true(decisions.some(({ where, action, resource, policies }) =>
    where === 'admission' && action === 'kv.put/1' && resource === 'Key::locked/a' &&
    JSON.stringify(policies) === '["lock"]'));
  t.true(decisions.some(({ where, principal }) =>
    where === 'api' && principal === 'Spiffe::spiffe://example.org/web'));

  t.regex((await get('/metrics')).body, /^x0t_policy_decisions_total\{decision="deny"\} [1-9]/m);

  const { versions } = (await get('/v1/policy/history')).json<{ versions: { put: string[] }[] }>();
  t.deepEqual(versions.map((one) => one.put), [['stranger'], ['web'], ['secret'], ['lock'], []]);
});

test.serial('at apply it is decided anew: what was admitted before gets `denied`', async (t) => {
  const { core } = node;
  const { size } = core.replica.fold;
  // both are admitted under the policies of before, and ordered one after the other
  const change = await signedEvent(node, (seq += 1), {
    kind: 'policy.put/1',
    body: {
      id: 'late',
      text: 'forbid(principal, action in Action::"data", resource == Key::"late");',
    },
  });
  const write = await signedEvent(node, (seq += 1), { kind: 'kv.put/1', body: kvPut('late') });
  await Promise.all([change, write].map((one) => core.submit(one.bytes, node.operator.coseKey)));
  await untilFinal(node, size + 2);
  const verdicts = [1, 2].map((n) => verdictName(core.log.at(size + n)?.verdict ?? -1));
  t.deepEqual(verdicts, ['applied', 'denied']);
  t.is((await get('/v1/kv/late')).statusCode, 404);
  const { decisions } = (await get('/v1/policy/decisions?where=apply&isAllowed=false'))
    .json<{ decisions: Record<string, unknown>[] }>();
  t.like(decisions[0], { action: 'kv.put/1', resource: 'Key::late', policies: ['late'] });
  // its sequence number is used up
  seq -= 1;
  t.is((await send('kv.put/1', kvPut('x'))).json<{ code: string }>().code, 'replayed');
});

test.serial('going back lifts what was locked, and a restart decides the same', async (t) => {
  await make('policy.rollback/1', { version: 0 });
  await make('kv.put/1', kvPut('locked/a'));
  const { genesis } = node.net.chain;
  await put('again', 'forbid(principal, action, resource == Key::"no");');
  const fold = new Fold(node.store, genesis, schemaFor(genesis));
  t.deepEqual(fold.summary(), node.core.replica.fold.summary());
  const { event } = await signedEvent(node, 1, { kind: 'kv.put/1', body: kvPut('no') });
  t.deepEqual(fold.reducer.permission(event, 1)?.reasons, ['again']);
});

test.serial('a change of policies is tried only once its signature holds', async (t) => {
  const body = { id: 'bad', text: 'permit(principal' };
  const entry = await signedEvent(node, (seq += 1), { kind: 'policy.put/1', body });
  const forged = entry.bytes.slice();
  forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
  const headers = { 'content-type': 'application/cbor' };
  const codeOf = async (bytes: Uint8Array) => {
    const payload = submission({ bytes }, node.operator);
    const answer = await node.api.inject({ method: 'POST', url: '/v1/events', headers, payload });
    return answer.json<{ code: string }>().code;
  };
  t.is(await codeOf(forged), 'bad_event_signature');
  t.is(await codeOf(entry.bytes), 'policy_invalid');
});

test('every operation of the API has an action', async (t) => {
  const { paths } = (await get('/openapi.json')).json<{
    paths: Record<string, Record<string, { operationId: string }>>;
  }>();
  const ids = Object.values(paths).flatMap((methods) =>
    Object.values(methods).map(({ operationId }) => operationId));
  t.deepEqual(ids.filter((id) => ACTIONS[id] === undefined), []);
  t.true(ids.includes('explainPolicy'));
  t.deepEqual(Object.keys(ACTIONS).filter((id) => id !== 'openapi' && !ids.includes(id)), []);
});

test('a node with another engine does not run the network, nor one without policies', (t) => {
  const { genesis } = net.chain;
  t.is(genesis.policy, CEDAR);
  const other = policySchema({ ...loadCedar(), version: 'cedar/4.12.0/0000000000000000' });
  t.is(codeIn(() => new Fold(node.store, genesis, other)), 'policy_engine_differs');
  t.is(codeIn(() => new Fold(node.store, genesis, withoutPolicies)), 'schema_mismatch');
});

test('a network from before runs on without policies: the same projections', (t) => {
  const { genesis } = seededNet(1, 1, 'old').chain;
  const schema = schemaFor(genesis);
  t.is(schema, withoutPolicies);
  t.deepEqual(schema.projections.map(({ name }) => name), ['kv', 'members']);
});
