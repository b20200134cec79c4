import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import { X0tError } from '#ledger/errors.ts';
import type { Checked } from './cedar-compiler.ts';
import { footprintOf, looksOf } from './cedar-footprint.ts';
import type { LooksAt } from './cedar-footprint.ts';
import type { CedarModule } from './cedar-module.ts';

/**
 * A policy as it is to be reckoned with where nothing is known of an attribute of the context: a
 * permit that looks at it permits nothing; a forbid that looks at it has lost those clauses, so it
 * forbids whatever its scope and its other clauses leave. None: it is gone.
 */
export function regardless(cedar: CedarModule, policy: Checked, attribute: string): Checked[] {
  const looks = ({ context }: LooksAt) => context === 'all' || context.has(attribute);
  if (!policy.looksAt || !looks(policy.looksAt)) return [policy];
  const answer = cedar.use((api) => api.policyToJson(policy.text));
  if (answer.type === 'failure') return broken();
  if (answer.json.effect === 'permit') return [];
  const conditions = answer.json.conditions.filter((one) => !looks(looksOf([one])));
  const json: PolicyJson = { ...answer.json, conditions };
  const told = cedar.use((api) => api.policyToText(json));
  if (told.type === 'failure') return broken();
  return [{ ...footprintOf(policy.id, told.text, json), warnings: [] }];
}

function broken(): never {
  throw new X0tError('engine_failed', 'A parsed policy did not parse.');
}
