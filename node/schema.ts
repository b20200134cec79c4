import { POLICY, policyProjection } from '#governance/policy.ts';
import { MEMBERS_POLICY } from '#ledger/genesis.ts';
import type { Genesis } from '#ledger/genesis.ts';
import type { PolicyEngine } from '#ledger/ports.ts';
import type { Projection } from '#ledger/projection.ts';
import type { Schema } from '#ledger/reducer.ts';
import { loadCedar } from '#native/cedar.ts';
import { CEDAR } from '#native/cedar-version.ts';
import { identity } from '#projections/identity.ts';
import { schema } from '#projections/index.ts';
import { posture } from '#projections/posture.ts';

/** Those of a new network, but for the policies, which need an engine. */
const BASE: readonly Projection[] = [identity, posture, ...schema.projections];

/**
 * The projections that a network runs, as its genesis names them. Networks from before there were
 * policies and identities on the ledger (`members/1`) go on without: their state has no such rows,
 * so their state roots stay what they were. The engine is loaded only where one decides.
 */
export function schemaFor({ policy }: Pick<Genesis, 'policy'>): Schema {
  if (policy === MEMBERS_POLICY) return schema;
  cedar ??= loadCedar();
  return policySchema(cedar);
}

/** Loaded once: its WebAssembly takes some 60 ms. */
let cedar: PolicyEngine | undefined;

/** All projections, with policies that `engine` decides by. */
export function policySchema(engine: PolicyEngine): Schema {
  const policy = policyProjection(engine, kindsOf({ projections: BASE }));
  return { ...schema, projections: sorted([...BASE, policy]), policy, posture };
}

/** What the genesis of a new network lists. */
export function newGenesisSchema(): Pick<Genesis, 'kinds' | 'projections' | 'policy'> {
  const projections = sorted([...BASE, POLICY]);
  return {
    kinds: kindsOf({ projections }),
    projections: projections.map(({ name, version }) => [name, version] as const),
    policy: CEDAR,
  };
}

type Named = Pick<Projection, 'name' | 'version' | 'kinds'>;

function kindsOf({ projections }: { readonly projections: readonly Named[] }): string[] {
  return projections.flatMap(({ kinds }) => kinds.map(({ kind }) => kind)).toSorted();
}

function sorted<T extends Named>(projections: readonly T[]): T[] {
  return projections.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
