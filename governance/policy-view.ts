import type { Id } from '#ledger/ports.ts';
import type { Rows } from '#ledger/projection.ts';
import { readHead, readRoles, readText, readVersion } from './policy-state.ts';
import type { Roles, Version } from './policy-state.ts';

/** Policies as people read them. */

type Reading = Pick<Rows, 'get'>;

/** What holds in one version. */
export interface PolicyView {
  readonly version: number;
  /** Sorted by id. */
  readonly policies: readonly { readonly id: string; readonly text: string }[];
  /** Absent while the base schema holds. */
  readonly schema?: string;
  readonly roles: Roles;
}

/** What one event changed. */
export interface PolicyStep {
  readonly version: number;
  /** Kind of the event; `genesis` for version 0. */
  readonly kind: string;
  readonly actor?: Id;
  readonly seq: number;
  readonly ts_ms: number;
  /** Ids of policies that were added or replaced, and of those that were removed. */
  readonly put: readonly string[];
  readonly removed: readonly string[];
}

export function viewOf(rows: Reading): PolicyView {
  const { version } = readHead(rows);
  const { policies, schema, roles } = readVersion(rows, version) as Version;
  return {
    version,
    policies: [...policies].map(([id, hash]) => ({ id, text: readText(rows, hash) })),
    ...(schema && { schema: readText(rows, schema) }),
    roles: readRoles(rows, roles),
  };
}

/** The versions that are kept, the newest first. The oldest one is compared with nothing. */
export function historyOf(rows: Reading): readonly PolicyStep[] {
  const { version, oldest } = readHead(rows);
  const steps: PolicyStep[] = [];
  for (let n = version; n >= oldest; n--) {
    const now = readVersion(rows, n) as Version;
    const { policies: before } = readVersion(rows, n - 1) ?? { policies: now.policies };
    const { kind, actor, seq, ts_ms } = now;
    steps.push({
      version: n,
      kind,
      ...(actor && { actor }),
      seq,
      ts_ms,
      put: [...now.policies].flatMap(([id, hash]) => (before.get(id) === hash ? [] : [id])),
      removed: [...before.keys()].filter((id) => !now.policies.has(id)),
    });
  }
  return steps;
}
