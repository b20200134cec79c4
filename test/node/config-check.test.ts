import test from 'ava';
import { X0tError } from '#ledger/errors.ts';
import { checkConfig } from '#node/config-check.ts';
import { DEFAULT_CONFIG } from '#node/config.ts';

const cases: readonly (readonly [value: unknown, key: string, said: RegExp])[] = [
  [{ apii: {} }, 'apii', /no key/],
  [{ p2p: { mdnss: true } }, 'p2p.mdnss', /no key/],
  [{ api: { port: '8420' } }, 'api.port', /integer/],
  [{ api: { port: 70_000 } }, 'api.port', /65535/],
  [{ log: 'loud' }, 'log', /one of debug, info/],
  [{ crypto: { engine: 'none' } }, 'crypto.engine', /one of liboqs, openssl/],
  [{ identity: { socket: 'a' } }, 'identity.socket', /pattern/],
  [{ identity: { agent: 'http://a' } }, 'identity.agent', /pattern/],
  [{ roundDelay_ms: -1 }, 'roundDelay_ms', />= 0/],
  [{ pool: { events_max: 0 } }, 'pool.events_max', />= 1/],
  [{ p2p: { bootstrap: ['/ip4/127.0.0.1/tcp/1', 'foo'] } }, 'p2p.bootstrap.1', /no multiaddr/],
  [[], '', /object/],
];

for (const [value, key, said] of cases) {
  test(`a configuration of ${JSON.stringify(value)} is refused and the key is named`, (t) => {
    const error = t.throws(() => checkConfig(value, 'f'), { instanceOf: X0tError });
    t.is(error?.code, 'config_invalid');
    t.like(error?.data, { file: 'f', key });
    t.regex(error?.message ?? '', said);
  });
}

test('the defaults, a part of them, and nothing are configurations', (t) => {
  for (const value of [DEFAULT_CONFIG, { api: { port: 0 } }, {}]) {
    t.is(checkConfig(value, 'f'), value);
  }
});
