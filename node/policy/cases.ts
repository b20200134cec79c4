import { readFileSync } from 'node:fs';
import { X0tError, fail } from '#ledger/errors.ts';
import type { PolicyValue } from '#ledger/ports.ts';
import type { CompiledBundle } from './bundle.ts';
import { parseEntity, parsePrincipal } from './entities.ts';

/** One line of a file of cases: a question and the answer that is expected. */
interface Case {
  readonly principal: string;
  readonly action: string;
  readonly resource: string;
  readonly expect: 'allow' | 'deny';
  /** Policies that must be among those that decided. */
  readonly by?: readonly string[];
  readonly context?: Readonly<Record<string, PolicyValue>>;
  readonly roles?: readonly string[];
  readonly labels?: readonly string[];
}

export interface CaseResult {
  readonly question: string;
  readonly isOk: boolean;
  readonly expected: string;
  readonly got: string;
  readonly policies: readonly string[];
}

const KNOWN = new Set([
  'principal', 'action', 'resource', 'expect', 'by', 'context', 'roles', 'labels',
]);

/** A JSON list of cases; throws `file_unreadable`, `policy_files_invalid`. */
export function readCases(file: string): readonly Case[] {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    const message = 'The file is not there, or no JSON.';
    throw new X0tError('file_unreadable', message, { file }, { cause });
  }
  if (!Array.isArray(value) || value.length === 0 || !value.every(isCase)) {
    const message =
      'A file of cases is a JSON list of {principal, action, resource, expect: "allow" or "deny"}.';
    fail('policy_files_invalid', message, { file });
  }
  return value;
}

function isCase(value: unknown): value is Case {
  if (typeof value !== 'object' || value === null) return false;
  const { principal, action, resource, expect } = value as Record<string, unknown>;
  return (
    [principal, action, resource].every((one) => typeof one === 'string') &&
    (expect === 'allow' || expect === 'deny') &&
    Object.keys(value).every((name) => KNOWN.has(name))
  );
}

export function runCases(bundle: CompiledBundle, cases: readonly Case[]): CaseResult[] {
  return cases.map(({ principal, action, resource, expect, by = [], ...rest }) => {
    const { isAllowed, reasons } = bundle.decide({
      principal: parsePrincipal(principal),
      action,
      resource: parseEntity(resource),
      ...rest,
    });
    const got = isAllowed ? 'allow' : 'deny';
    return {
      question: `${principal} ${action} ${resource}`,
      isOk: got === expect && by.every((id) => reasons.includes(id)),
      expected: by.length > 0 ? `${expect} by ${by.join(', ')}` : expect,
      got,
      policies: reasons,
    };
  });
}
