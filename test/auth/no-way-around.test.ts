import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { X0tError, codeOf } from '#ledger/errors.ts';
import { createAuthenticator } from '#node/auth/authenticator.ts';
import { checkConfig } from '#node/config-check.ts';
import { DEFAULT_CONFIG } from '#node/config.ts';
import { codeIn } from '#test/support/codes.ts';
import { VirtualClock } from '#test/support/virtual-clock.ts';
import { projectFiles } from '#test/tooling/project-files.ts';
import { blankComments } from '#test/tooling/source-text.ts';
import { memoryAhead } from './memory-ahead.ts';

/**
 * No cheating hooks: no environment variable, configuration value, test flag or missing dependency
 * switches authentication or the verification of signatures off. This looks for the ways in.
 */

const PRODUCT = ['ledger', 'projections', 'governance', 'native', 'p2p', 'node'];
const sources: ReadonlyMap<string, string> = new Map(
  projectFiles(['.ts', '.js'], PRODUCT)
    .filter(({ file }) => file.includes('/'))
    .map(({ file, text }) => [file, blankComments(text)]),
);

/** Every use of the environment, and what it may decide. */
const ENVIRONMENT: Readonly<Record<string, string>> = {
  'node/cli/client.ts': 'X0T_TOKEN_FILE: where a command finds its token',
  'node/cli/compile-cache.js': 'XDG_CACHE_HOME, NODE_COMPILE_CACHE: where compiled code is kept',
  'node/cli/server-trust.ts': 'SPIFFE_ENDPOINT_SOCKET: which Workload API a command believes',
  'node/cli/svid.ts': 'SPIFFE_ENDPOINT_SOCKET: which Workload API a command asks',
  'node/frugal.ts': 'MALLOC_ARENA_MAX: memory',
  'node/node.ts': 'SPIFFE_ENDPOINT_SOCKET: where the node gets its own SVID',
  'node/passphrase.ts': 'X0T_PASSPHRASE_FILE and the like: where passphrases are',
  'node/subprocess.ts': 'handed on to processes of a test net',
};
const READS_ENVIRONMENT = /process\s*\.\s*env\b|\benv\b[^;]*from 'node:process'|process\s*\[/;

test('no cheating hooks: the environment is read in these places only', (t) => {
  t.true(sources.size > 200);
  const found = [...sources].filter(([, text]) => READS_ENVIRONMENT.test(text));
  t.deepEqual(found.map(([file]) => file).toSorted(), Object.keys(ENVIRONMENT));
  for (const [file, text] of sources) {
    t.notRegex(text, /NODE_ENV|AVA_|process\.argv0|NODE_TEST/, file);
    // only the command line looks at its arguments
    if (/process\.argv\b/.test(text)) t.regex(file, /^node\/(?:cli\/|frugal|subprocess)/, file);
  }
});

/** Words that such a switch would have. */
const OFF = 'no|skip|disable|without|insecure|unsafe|allow|trust|dev|test|debug|bypass|mock|fake';
const WHAT = 'auth|verif|sign|tls|polic|anonym|check';
const SWITCHES = new RegExp(`\\b(?:${OFF})[-_]?(?:${WHAT})`, 'i');

test('no cheating hooks: the configuration has no key that switches anything of it off', (t) => {
  const keys = (value: object, path = ''): string[] =>
    Object.entries(value).flatMap(([name, inner]) => {
      const at = path === '' ? name : `${path}.${name}`;
      const isGroup = typeof inner === 'object' && inner !== null && !Array.isArray(inner);
      return [at, ...(isGroup ? keys(inner as object, at) : [])];
    });
  t.deepEqual(keys(DEFAULT_CONFIG).filter((key) => /^(?:api|crypto|identity)/.test(key)), [
    'api', 'api.host', 'api.port', 'api.names', 'api.audience', 'api.rate',
    'crypto', 'crypto.engine', 'crypto.workers', 'identity', 'identity.socket', 'identity.agent',
  ]);
  const names = ['auth', 'authentication', 'insecure', 'anonymous', 'open', 'token', 'trust'];
  for (const name of names) {
    for (const value of [true, false, 'none', 'off', 0, {}]) {
      const refuse = (config: object) => codeIn(() => checkConfig(config, 'config.json'));
      t.is(refuse({ api: { [name]: value } }), 'config_invalid', name);
      t.is(refuse({ [name]: value }), 'config_invalid', name);
    }
  }
  t.is(codeIn(() => checkConfig({ crypto: { engine: 'none' } }, '')), 'config_invalid');
  t.is(codeIn(() => checkConfig({ api: { rate: { perSecond: 0 } } }, '')), 'config_invalid');
});

test('no cheating hooks: no option of a command and no name in the code is a switch', (t) => {
  for (const [file, text] of sources) {
    for (const [, option = ''] of text.matchAll(/\.option\(\s*'(--[a-z-]+)/g)) {
      t.notRegex(option, SWITCHES, file);
    }
    for (const [name] of text.matchAll(/\b[a-z][A-Za-z]*\b/g)) t.notRegex(name, SWITCHES, file);
  }
});

test('no cheating hooks: nodes have one authenticator, and no other can be given to them', (t) => {
  const makers = (pattern: RegExp) =>
    [...sources].filter(([, text]) => pattern.test(text)).map(([file]) => file).toSorted();
  t.deepEqual(makers(/\bcreateApi\(/), ['node/api/index.ts', 'node/node-api.ts']);
  const authenticator = ['node/auth/authenticator.ts', 'node/node-api.ts'];
  t.deepEqual(makers(/\bcreateAuthenticator\(/), authenticator);
  t.deepEqual(makers(/\bauthenticate\s*\(|authenticate:/), [
    'node/api/authentication.ts', 'node/auth/authenticator.ts', 'node/auth/caller.ts',
  ]);
  t.regex(sources.get('node/api/index.ts') ?? '', /readonly authenticator: Authenticator;/);
  t.regex(sources.get('node/node.ts') ?? '', /NodeApi\.create\(/);
  const { verify } = { verify: makers(/\bverify:\s*(?:async\s*)?\(\)\s*=>\s*(?:true|\[true)/) };
  t.deepEqual(verify, []);
});

test('no cheating hooks: who calls is decided by proofs, and by no address alone', (t) => {
  for (const [file, text] of sources) {
    if (!/remoteAddress|request\.ip\b/.test(text)) continue;
    t.true(
      [
        'node/api/authentication.ts', 'node/api/unproved.ts', 'node/api/events.ts',
        'node/auth/request-target.ts', 'node/auth/signature-check.ts',
        'node/auth/svid-callers.ts', 'node/connection-places.ts',
      ].includes(file) || file.startsWith('p2p/'),
      `${file} looks at addresses`,
    );
  }
  const places = sources.get('node/connection-places.ts') ?? '';
  t.regex(places, /places\.admit\(socket, networksOf\(socket\.remoteAddress\)\)/);
});

test('no cheating hooks: what it needs is no optional package; TLS is told nothing else', (t) => {
  const manifest = readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8');
  const { dependencies, ...rest } = JSON.parse(manifest) as Record<
    string,
    Record<string, string>
  >;
  const needed = [
    '@cedar-policy/cedar-wasm', '@oqs/liboqs-js', '@peculiar/asn1-x509', 'http-message-signatures',
    'jose',
  ];
  t.deepEqual(needed.filter((name) => dependencies?.[name] === undefined), []);
  const { optionalDependencies = {}, peerDependencies = {} } = rest;
  const optional = Object.keys({ ...optionalDependencies, ...peerDependencies });
  t.deepEqual(needed.filter((name) => optional.includes(name)), []);
  // certificates of callers and of nodes are judged by request, those of SPIFFE endpoints by the
  // rules of SVIDs
  const lax = new Map([...sources].filter(([, text]) => text.includes('rejectUnauthorized')));
  t.deepEqual([...lax.keys()], [
    'node/api/tls-listener.ts', 'node/identity/bundle-fetch.ts', 'node/spiffe-fetch.ts',
  ]);
  const [listener, fetching, asking] = [...lax.values()];
  t.regex(listener ?? '', /requestCert: true,\s+rejectUnauthorized: false/);
  t.regex(fetching ?? '', /rejectUnauthorized: type === 'https_web'/);
  // no request leaves but through `exchange`, which asks before it is written
  t.regex(asking ?? '', /return exchange\(sent, [^;]*assertServer\(socket\);/);
  t.is(asking?.match(/\brequest\(|\bconnect\(/g)?.length, 2);
  const client = sources.get('node/client.ts') ?? '';
  t.regex(client, /!== 'https:'\) return [^;]*;[^}]*return this\.#secureFetch \?\? fail\(/);
});

const own = { actor: 'a'.repeat(64), names: [], listeners: [{ host: '127.0.0.1', port: 1 }] };
const failing = {
  clock: new VirtualClock(1_800_000_000_000),
  keyOf: () => undefined,
  own: () => own,
  audience: [],
  failures: { perSecond: 1, burst: 1000 },
};

function request(headers: Record<string, string>): Parameters<
  ReturnType<typeof createAuthenticator>['authenticate']
>[0] {
  const all = { host: '127.0.0.1:1', ...headers };
  const rawHeaders = Object.entries(all).flat();
  const socket = { remoteAddress: '127.0.0.1' };
  return { headers: all, rawHeaders, socket, method: 'GET', url: '/' } as never;
}

test('no cheating hooks: what a proof needs and is not there refuses it', async (t) => {
  const gone = () => Promise.reject(new X0tError('engine_failed', 'gone'));
  const authenticator = createAuthenticator({
    ...failing,
    verifier: { verify: gone },
    ahead: await memoryAhead(failing.clock),
    tokens: { ownerOf: async () => undefined, isStill: () => false, subscribe: () => () => {} },
    trust: () => Promise.reject(new Error('Cannot find package')),
  });
  const ask = async (headers: Record<string, string>): Promise<string> =>
    authenticator.authenticate(request(headers)).then(
      ({ principal }) => principal.type,
      (error: unknown) => (error instanceof X0tError ? codeOf(error) : 'failed'),
    );
  t.is(await ask({}), 'unauthenticated');
  t.is(await ask({ authorization: `Bearer ${'A'.repeat(43)}` }), 'token_wrong', 'no file');
  t.is(await ask({ authorization: 'Bearer a.b.c' }), 'failed', 'a package that is missing');
  t.is(await ask({ authorization: 'Bearer a.b.c' }), 'failed', 'and is missing still');
  t.is(await ask({ signature: 'x', 'signature-input': 'x' }), 'signature_malformed');
});

test('no cheating hooks: an engine that answers nothing verifies nothing', async (t) => {
  const { SignatureCheck } = await import('#node/auth/signature-check.ts');
  const { VerificationWork } = await import('#node/auth/verification-work.ts');
  const { seededActor } = await import('#test/support/seeded-actor.ts');
  const { incoming, partsOf, signed } = await import('./signed-request.ts');
  const me = seededActor('cheater');
  const { clock } = failing;
  for (const [answer, code] of [
    [async () => [], 'signature_wrong'],
    [async () => [false], 'signature_wrong'],
    [() => Promise.reject(new X0tError('engine_failed', 'gone')), 'engine_failed'],
  ] as const) {
    const check = new SignatureCheck({
      verifier: { verify: answer },
      clock,
      keyOf: () => me.actor,
      work: new VerificationWork(failing.failures, clock),
      own: () => ({ ...own, names: ['node.test'], listeners: [{ host: '0.0.0.0', port: 8420 }] }),
      ahead: await memoryAhead(clock),
    });
    const parts = partsOf(me, () => clock.wall_ms());
    const sent = await signed(parts, 'http://node.test:8420/v1/status', { method: 'GET' });
    const caller = check.callerOf(incoming(sent));
    t.is(codeOf(await t.throwsAsync(caller)), code);
  }
});
