import { policyProjection } from '#governance/policy.ts';
import { MEMBERS_POLICY } from '#ledger/genesis.ts';
import type { Genesis } from '#ledger/genesis.ts';
import type { PolicyEngine } from '#ledger/ports.ts';
import type { Schema } from '#ledger/reducer.ts';
import { loadCedar } from '#native/cedar.ts';
import { CEDAR } from '#native/cedar-version.ts';
import { schema } from '#projections/index.ts';

/**
 * The projections that a network runs, as its genesis names them. Networks from before there were
 * policies on the ledger (`members/1`) go on without: their state has no policy rows, so their
 * state roots stay what they were. The engine is loaded only where one decides.
 */
export function schemaFor({ policy }: Pick<Genesis, 'policy'>): Schema {
  if (policy === MEMBERS_POLICY) return schema;
  engine ??= loadCedar();
  return policySchema(engine);
}

/** Loaded once: its WebAssembly takes some 60 ms. */
let engine: PolicyEngine | undefined;

/** All projections, with policies that `engine` decides by. */
export function policySchema(engine: PolicyEngine): Schema {
  const policy = policyProjection(engine, kindsOf(schema));
  return { ...schema, projections: sorted([...schema.projections, policy]), policy };
}

/** What the genesis of a new network lists. */
export function newGenesisSchema(): Pick<Genesis, 'kinds' | 'projections' | 'policy'> {
  const named = policySchema({ version: CEDAR, compile: () => NOT_LOADED });
  return {
    kinds: kindsOf(named),
    projections: named.projections.map(({ name, version }) => [name, version] as const),
    policy: CEDAR,
  };
}

const NOT_LOADED = {
  warnings: [],
  mentioned: () => [],
  decide: () => ({ isAllowed: false, reasons: [], errors: [] }),
};

function kindsOf({ projections }: Schema): string[] {
  return projections.flatMap(({ kinds }) => kinds.map(({ kind }) => kind)).toSorted();
}

function sorted(projections: Schema['projections']): Schema['projections'] {
  return projections.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
