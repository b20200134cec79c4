import { baseSchema, POLICY_KINDS } from '#governance/policy-base.ts';
import type { Genesis } from '#ledger/genesis.ts';
import type { Id, PolicyEngine } from '#ledger/ports.ts';
import type { OrderedEvent, Rows, Standing } from '#ledger/projection.ts';
import { policyProjection } from '#governance/policy.ts';
import { schema } from '#projections/index.ts';

/** Rows in memory. */
export class MapRows implements Rows {
  readonly rows = new Map<string, Uint8Array>();
  get = (key: string): Uint8Array | undefined => this.rows.get(key);
  put(key: string, value: Uint8Array): void {
    this.rows.set(key, value);
  }
  remove(key: string): void {
    this.rows.delete(key);
  }
}

export const KINDS = schema.projections.flatMap(({ kinds }) => kinds.map(({ kind }) => kind));
export const BASE = baseSchema([...KINDS, ...POLICY_KINDS]);

export const actorOf = (name: string): Id => Buffer.from(name.padEnd(32, '.')).toString('hex');
export const OPERATOR = actorOf('operator');
export const VALIDATOR = actorOf('validator');
export const MEMBER = actorOf('member');

const STANDINGS = new Map<Id, Standing>([
  [OPERATOR, { roles: ['operator'], labels: ['eu'] }],
  [VALIDATOR, { roles: ['validator'], labels: [] }],
  [MEMBER, { roles: [], labels: [] }],
]);
export const standingOf = (actor: Id): Standing | undefined => STANDINGS.get(actor);

/** The projection over rows in memory, as the fold drives it. */
export class PolicyBench {
  readonly rows = new MapRows();
  readonly policy;
  #seq = 0;

  constructor(engine: PolicyEngine, kinds: readonly string[] = KINDS) {
    this.policy = policyProjection(engine, kinds);
    const genesis = {
      operators: [OPERATOR],
      committee: [{ actor: VALIDATOR, coseKey: new Uint8Array(), peer: '', stake: 1 }],
      created_ms: 1,
    };
    this.policy.start(genesis as unknown as Genesis, this.rows);
  }

  event(kind: string, body: Record<string, unknown>, actor = OPERATOR): OrderedEvent['event'] {
    return { chain: '', actor, lane: 0, seq: 0, kind, body, hlc: [0, 0] };
  }

  /** The verdict, as the projection alone gives it. */
  apply(kind: string, body: Record<string, unknown>, actor = OPERATOR): string {
    const event = this.event(kind, body, actor);
    const ordered = { id: '', event, seq: (this.#seq += 1), ts_ms: 1000 };
    return this.policy.apply(ordered, this.rows, standingOf);
  }

  may(actor: Id, kind: string, body: Record<string, unknown> = {}, onBehalfOf?: string) {
    const event = { ...this.event(kind, body, actor), ...(onBehalfOf && { onBehalfOf }) };
    return this.policy.permits(event, 1000, this.rows, standingOf);
  }
}
