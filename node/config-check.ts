import { multiaddr } from '@multiformats/multiaddr';
import { Type } from 'typebox';
import type { TProperties, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { fail } from '#ledger/errors.ts';
import type { NodeConfig, PartialConfig, RateConfig } from './config.ts';

/** What `config.json` may hold (docs/configuration.md). */

const Port = Type.Integer({ minimum: 0, maximum: 65_535 });
/** A day: longer is a mistake of the unit. */
const Milliseconds = Type.Integer({ minimum: 0, maximum: 86_400_000 });
const Count = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
/** A host in lower case, with a port or without. */
const NAME = '^(\\[[0-9a-f:.]+\\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:[1-9][0-9]{0,4})?$';
const Listener = Type.Object(
  { host: Type.Optional(Type.String({ minLength: 1 })), port: Port },
  { additionalProperties: false },
);
const Addresses = Type.Array(Type.String());

/** A schema for every key of a group. */
type Schemas<T> = { readonly [K in keyof T]-?: TSchema };

/** An object that may leave out any key and has no other. */
function group(keys: Readonly<Record<string, TSchema>>): TSchema {
  const entries = Object.entries(keys).map(([key, one]) => [key, Type.Optional(one)]);
  return Type.Object(Object.fromEntries(entries) as TProperties, { additionalProperties: false });
}

const KEYS: Schemas<NodeConfig> = {
  name: Type.String({ minLength: 1, maxLength: 64 }),
  api: group({
    host: Type.String({ minLength: 1 }),
    port: Port,
    names: Type.Array(Type.String({ pattern: NAME }), { maxItems: 64 }),
    audience: Type.Array(Type.String({ minLength: 1, maxLength: 2048 }), { maxItems: 16 }),
    rate: group({
      perSecond: Count,
      burst: Count,
      anonymousPerSecond: Count,
      anonymousBurst: Count,
    } satisfies Schemas<RateConfig>),
    tls: Listener,
  } satisfies Schemas<NodeConfig['api']>),
  p2p: group({
    listen: Addresses,
    announce: Addresses,
    bootstrap: Addresses,
    mdns: Type.Boolean(),
  } satisfies Schemas<NodeConfig['p2p']>),
  crypto: group({
    engine: Type.Enum(['liboqs', 'openssl']),
    workers: Type.Integer({ minimum: 0, maximum: 64 }),
  } satisfies Schemas<NodeConfig['crypto']>),
  identity: group({
    socket: Type.String({ pattern: '^(/.*)?$', maxLength: 107 }),
    agent: Type.String({ pattern: '^((unix|tcp):.*)?$', maxLength: 1024 }),
    endpoint: Listener,
  } satisfies Schemas<NodeConfig['identity']>),
  log: Type.Enum(['debug', 'info', 'warn', 'error', 'silent']),
  roundDelay_ms: Milliseconds,
  busyRoundDelay_ms: Milliseconds,
  leaderTimeout_ms: Milliseconds,
  fallback_ms: Milliseconds,
  antiEntropy_ms: Milliseconds,
  sync: Type.Enum(['full', 'snapshot']),
  retention: Type.Union([
    Type.Literal('archive'),
    Type.Object({ events: Count }, { additionalProperties: false }),
  ]),
  pool: group({
    events_max: Count,
    bytes_max: Count,
    eventsPerActor_max: Count,
  } satisfies Schemas<NodeConfig['pool']>),
};
const Config = Compile(group(KEYS));

/**
 * The content of a configuration file. Throws `config_invalid` with the `key` at fault: one that is
 * unknown, of another type or out of its range, or an address that is none.
 */
export function checkConfig(value: unknown, file: string): PartialConfig {
  if (!Config.Check(value)) {
    const [first] = Config.Errors(value);
    const key = (first?.instancePath ?? '').slice(1).replaceAll('/', '.');
    fail('config_invalid', `${key || 'The content'} ${faultOf(first)}.`, { file, key });
  }
  const config = value as PartialConfig;
  for (const name of ['listen', 'announce', 'bootstrap'] as const) {
    for (const [i, address] of (config.p2p?.[name] ?? []).entries()) {
      if (isAddress(address)) continue;
      const key = `p2p.${name}.${i}`;
      fail('config_invalid', `${key} is no multiaddr.`, { file, key, address });
    }
  }
  return config;
}

type Fault = ReturnType<typeof Config.Errors>[number];

function faultOf(fault: Fault | undefined): string {
  // no other keys are allowed: the schema of all others is false
  if (fault?.keyword === 'boolean') return 'is no key of the configuration';
  if (fault?.keyword === 'enum') return `must be one of ${fault.params.allowedValues.join(', ')}`;
  return fault?.message ?? 'is wrong';
}

/** Whether a text is a multiaddr. */
export function isAddress(text: string): boolean {
  try {
    multiaddr(text);
    return true;
  } catch {
    return false;
  }
}
