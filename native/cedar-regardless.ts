import { fail } from '#ledger/errors.ts';
import type { Checked } from './cedar-compiler.ts';
import { footprintOf, looksOf } from './cedar-footprint.ts';
import type { LooksAt } from './cedar-footprint.ts';
import type { CedarModule } from './cedar-module.ts';
import { clausesOf } from './cedar-text.ts';

/**
 * A policy as it is to be reckoned with where nothing is known of an attribute of the context: a
 * permit that looks at it permits nothing; a forbid that looks at it has lost those clauses, so it
 * forbids whatever its scope and its other clauses leave. None: it is gone. Throws `policy_invalid`
 * where its clauses cannot be told apart.
 *
 * Clauses are cut out of the text: Cedar writes no text of its JSON where it is long, and its JSON
 * rounds numbers above 2^53.
 */
export function regardless(cedar: CedarModule, policy: Checked, attribute: string): Checked[] {
  const { id, text } = policy;
  const looks = ({ context }: LooksAt) => context === 'all' || context.has(attribute);
  if (!policy.looksAt || !looks(policy.looksAt)) return [policy];
  const answer = cedar.use((api) => api.policyToJson(text));
  if (answer.type === 'failure') return untold(id);
  const { effect, conditions } = answer.json;
  if (effect === 'permit') return [];
  const clauses = clausesOf(text);
  const isTold =
    clauses.length === conditions.length &&
    clauses.every(({ kind }, i) => kind === conditions[i]?.kind);
  if (!isTold) return untold(id);
  const isKept = conditions.map((one) => !looks(looksOf([one])));
  let cut = text;
  for (const [i, { start, end }] of [...clauses.entries()].toReversed()) {
    if (isKept[i] !== true) cut = `${cut.slice(0, start)} ${cut.slice(end)}`;
  }
  const json = { ...answer.json, conditions: conditions.filter((_, i) => isKept[i]) };
  return [{ ...footprintOf(id, cut, json), warnings: [] }];
}

function untold(policy: string): never {
  return fail('policy_invalid', `The clauses of ${policy} cannot be told apart.`, { policy });
}
