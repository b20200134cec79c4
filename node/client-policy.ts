import type { PolicyStep } from '#governance/policy-view.ts';
import type { DecisionRecord } from '#node/policy/decision-log.ts';

/** What a node answers about policies. */

interface PolicyText {
  readonly id: string;
  readonly text: string;
}

export interface PoliciesJson {
  readonly engine: string;
  readonly version: number;
  readonly policies: readonly PolicyText[];
  /** Absent while the base schema holds. */
  readonly schema?: string;
  readonly baseSchema: string;
  readonly roles: readonly { readonly principal: string; readonly roles: readonly string[] }[];
}

export interface PolicyHistoryJson {
  readonly versions: readonly PolicyStep[];
}

export interface ExplainedJson {
  readonly isAllowed: boolean;
  readonly version: number;
  readonly policies: readonly PolicyText[];
  readonly errors: readonly string[];
}

export interface DecisionsJson {
  readonly allowed: number;
  readonly denied: number;
  readonly decisions: readonly DecisionRecord[];
}
