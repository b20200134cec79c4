import { availableParallelism } from 'node:os';
import { DEFAULT_POLICIES } from '#governance/policy-base.ts';
import type { Core } from '#ledger/core.ts';
import { signEvent } from '#ledger/event.ts';
import type { Body, Entry } from '#ledger/event.ts';
import { quickVerifier } from '#native/quick-verifier.ts';
import { loadEngine } from '#native/engine.ts';
import { createVerifierPool } from '#native/verifier-pool.ts';
import { newGenesisSchema } from '#node/schema.ts';
import { systemClock } from '#node/system.ts';
import { openCore } from '#test/support/cluster.ts';
import type { TestActor, TestNet } from '#test/support/cluster.ts';
import { FakeHub } from '#test/support/fake-network.ts';
import { MemoryStore } from '#test/support/memory-store.ts';
import { netOf, seededActor } from '#test/support/seeded-actor.ts';

/**
 * What decisions cost: a validator in this process, with verifier threads and a store in memory,
 * takes the same signed events once with one policy and once with 200. Admission and apply both ask
 * the policies; what is measured is the time from the first submission to the last finality.
 */

const ACTORS = 100;
const TEAMS = 50;
/** Submissions under way at once: the pool takes so many of one actor. */
const UNDER_WAY = 512;
const ROUNDS = 3;

interface Setting {
  readonly policies: Readonly<Record<string, string>>;
  readonly roles: boolean;
}

const ADMIN = 'permit (principal in Role::"operator", action in Action::"policy", resource);';

const ONE: Setting = {
  policies: { all: 'permit (principal, action, resource);' },
  roles: false,
};

/** Half of them speak of a team and its keys, the others of what nobody does here. */
const MANY: Setting = {
  policies: Object.fromEntries([
    ['admin', ADMIN],
    ...numbers(TEAMS).flatMap((i) => [
      [`team-${i}`, team(i, 'permit', '"kv.put/1"', `KeyPrefix::"team-${i}/"`)],
      [
        `tmp-${i}`,
        `permit (principal in Role::"team-${i}", action == Action::"kv.delete/1", resource)
when { resource.key like "*.tmp" };`,
      ],
      [
        `locked-${i}`,
        `forbid (principal, action in Action::"data", resource in KeyPrefix::"team-${i}/locked/")
unless { principal in Role::"keeper-${i}" };`,
      ],
    ]),
    ...numbers(199 - 3 * TEAMS).map((i) => [
      `spiffe-${i}`,
      `forbid (principal == Spiffe::"spiffe://example.org/w${i}", action, resource);`,
    ]),
  ]) as Record<string, string>,
  roles: true,
};

/** The same, and a condition on the key: each event is another question to Cedar. */
const ASKING: Setting = {
  ...MANY,
  policies: Object.fromEntries(
    Object.entries(MANY.policies).map(([id, text]) => {
      return [id, id.startsWith('tmp-') ? text.replaceAll('"kv.delete/1"', '"kv.put/1"') : text];
    }),
  ),
};

const SETTINGS = { one: ONE, many: MANY, asking: ASKING };
type Name = keyof typeof SETTINGS;
const NAMES: readonly Name[] = ['one', 'many', 'asking'];

function team(i: number, effect: string, action: string, prefix: string): string {
  const who = `principal in Role::"team-${i}"`;
  return `${effect} (${who}, action == Action::${action}, resource in ${prefix});`;
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

export interface PolicyBench {
  readonly events: number;
  /** Medians over rounds that alternate. */
  readonly one: Rate;
  readonly many: Rate;
  /** With 200, and a condition that makes each event a question of its own. */
  readonly asking: Rate;
  /** Final events per second with 200 policies, as a share of those with one. */
  readonly share: number;
  /** The same by processor time instead of wall time: others on the machine matter less. */
  readonly cpuShare: number;
  readonly askingCpuShare: number;
}

interface Rate {
  readonly policies: number;
  readonly finalPerSecond: number;
  readonly cpu_us_perEvent: number;
}

export async function policyCost(
  count: number,
  say: (line: string) => void,
): Promise<PolicyBench> {
  const actors = numbers(ACTORS).map((i) => seededActor(`policy bench ${i}`));
  const operator = seededActor('policy bench operator');
  const validator = seededActor('policy bench validator');
  const net = netOf([validator], [operator, ...actors], 'policy-bench', newGenesisSchema());
  say(`policy: signing ${count} events`);
  const load: Load[] = [];
  for (let i = 0; i < count; i++) {
    const at = i % ACTORS;
    const actor = actors[at] as TestActor;
    const key = `team-${at % TEAMS}/k${i}`;
    load.push({ actor, entry: await signed(net, actor, i, 'kv.put/1', valueOf(key, i)) });
  }
  const engine = await loadEngine('liboqs');
  const pool = await createVerifierPool({
    engine: 'liboqs',
    workers: Math.max(1, availableParallelism() - 1),
    failed: () => undefined,
  });
  const verifier = quickVerifier(pool, engine, systemClock);
  const rates: Record<Name, Rate[]> = { one: [], many: [], asking: [] };
  // the clock's timers do not keep a process alive
  const alive = setInterval(() => undefined, 60_000);
  try {
    for (let round = 0; round < ROUNDS; round++) {
      for (const name of NAMES) {
        const rate = await measure(net, operator, actors, SETTINGS[name], load, verifier);
        say(`policy: ${name} ${JSON.stringify(rate)}`);
        rates[name].push(rate);
      }
    }
  } finally {
    clearInterval(alive);
    await verifier.close();
  }
  const [one, many] = [median(rates.one), median(rates.many)];
  const asking = median(rates.asking);
  return {
    events: count,
    one,
    many,
    asking,
    share: rounded(many.finalPerSecond / one.finalPerSecond),
    cpuShare: rounded(one.cpu_us_perEvent / many.cpu_us_perEvent),
    askingCpuShare: rounded(one.cpu_us_perEvent / asking.cpu_us_perEvent),
  };
}

interface Load {
  readonly actor: TestActor;
  readonly entry: Entry;
}

function valueOf(key: string, i: number): Body {
  return { key, value: new Uint8Array(32).fill(i & 255) };
}

async function measure(
  net: TestNet,
  operator: TestActor,
  actors: readonly TestActor[],
  setting: Setting,
  load: readonly Load[],
  verifier: Parameters<typeof openCore>[2]['verifier'] & object,
): Promise<Rate> {
  const store = new MemoryStore();
  const [validator] = net.validators as [TestActor];
  const network = new FakeHub({ clock: systemClock, seed: 1 }).join('peer-0', validator.actor);
  const core = await openCore(net, validator, { network, store, clock: systemClock, verifier });
  await network.start();
  core.start();
  try {
    const begun = await prepare(core, net, operator, actors, setting);
    const start_ms = performance.now();
    const cpu = process.cpuUsage();
    await submitAll(core, load, begun);
    const { user, system } = process.cpuUsage(cpu);
    const seconds = (performance.now() - start_ms) / 1000;
    return {
      policies: Object.keys(setting.policies).length,
      finalPerSecond: Math.round(load.length / seconds),
      cpu_us_perEvent: Math.round((user + system) / load.length),
    };
  } finally {
    await core.stop();
    await network.stop();
  }
}

/** Brings the policies and roles; resolves with the number of final events. */
async function prepare(
  core: Core,
  net: TestNet,
  operator: TestActor,
  actors: readonly TestActor[],
  { policies, roles }: Setting,
): Promise<number> {
  const additions: (readonly [string, Body])[] = [
    ...Object.entries(policies).map(([id, text]) => ['policy.put/1', { id, text }] as const),
    ...(roles ? actors : []).map(({ actor }, i) => {
      const body = { principal: actor, roles: [`team-${i % TEAMS}`] };
      return ['policy.assign/1', body] as const;
    }),
  ];
  // somebody must be able to hand events to a node: where no other policy permits it, the owner
  const shipped = Object.keys(DEFAULT_POLICIES);
  const gone = roles ? shipped.filter((id) => id !== 'default.local') : shipped;
  const removals = gone.map((id) => ['policy.delete/1', { id }] as const);
  let seq = 0;
  // what takes the place of the shipped set has to hold before that may go
  for (const changes of [additions, removals]) {
    for (const [kind, body] of changes) {
      const entry = await signed(net, operator, seq++, kind, body);
      await core.submit(entry.bytes, operator.coseKey);
    }
    await untilFinal(core, seq);
  }
  return seq;
}

function signed(
  { chain }: TestNet,
  { actor, signer }: TestActor,
  seq: number,
  kind: string,
  body: Body,
): Promise<Entry> {
  return signEvent({ chain: chain.id, actor, lane: 0, seq, kind, body, hlc: [0, 0] }, signer);
}

async function submitAll(core: Core, load: readonly Load[], begun: number): Promise<void> {
  for (let at = 0; at < load.length; at += UNDER_WAY) {
    const slice = load.slice(at, at + UNDER_WAY);
    await Promise.all(
      slice.map(({ entry, actor }) => core.submit(entry.bytes, actor.coseKey)),
    );
  }
  await untilFinal(core, begun + load.length);
  const last = core.log.at(begun + load.length);
  if (last?.verdict !== 0) throw new Error('the last event was not applied');
}

async function untilFinal(core: Core, size: number): Promise<void> {
  if (core.replica.fold.size >= size) return;
  await new Promise<void>((resolve) => {
    const end = core.onFinal((events) => {
      if ((events.at(-1)?.seq ?? 0) < size) return;
      end();
      resolve();
    });
  });
}

/** Each figure's own median. */
function median(rates: readonly Rate[]): Rate {
  const middle = (values: readonly number[]): number =>
    values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  return {
    policies: rates[0]?.policies ?? 0,
    finalPerSecond: middle(rates.map(({ finalPerSecond }) => finalPerSecond)),
    cpu_us_perEvent: middle(rates.map(({ cpu_us_perEvent }) => cpu_us_perEvent)),
  };
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
