import type { PolicyStep } from '#governance/policy-view.ts';
import type { Level } from '#ledger/core.ts';
import type { EventJson } from '#node/api/render.ts';
import type { ReadEnvelope } from '#node/api/view.ts';
import type { DecisionRecord } from '#node/policy/decision-log.ts';
import type { ForgottenDenials } from '#node/policy/denials.ts';
import type { MemberState } from '#projections/transitions.ts';

/** What a node answers, as the client hands it on. */

/** What became of a write. `seq`, `verdict` and `commit` are there once it is final. */
export interface Written {
  readonly id: string;
  readonly state: Level;
  readonly seq?: number;
  readonly verdict?: string;
  readonly commit?: number;
}

/** A key's value as the API shows it; `value` is base64. */
export interface KvJson {
  readonly key: string;
  readonly value: string;
  readonly type?: string;
  readonly seq: number;
  /** Time of the commit that set it, milliseconds since the Unix epoch. */
  readonly ts_ms: number;
  readonly actor: string;
}

export interface KvPage extends ReadEnvelope {
  readonly entries: readonly KvJson[];
  /** There are more: pass it as `after`. */
  readonly next?: string;
}

export interface PostureJson {
  readonly members: readonly {
    readonly actor: string;
    /** Thousandths of a point, here and in `reports`. */
    readonly score: number;
    readonly grade: string;
    readonly due: string;
    readonly canSpare: boolean;
    readonly isConvicted: boolean;
    readonly isolation?: {
      readonly since_ms: number;
      readonly until_ms: number;
      readonly by: string;
      readonly author: string;
      readonly reason: string;
      readonly recovers_ms: number;
      /** What an operator ordered, beside a graver grade by rule. */
      readonly floor?: {
        readonly grade: string;
        readonly until_ms: number;
        readonly author: string;
        readonly reason: string;
      };
    };
    readonly reports: readonly {
      readonly reporter: string;
      readonly what: string;
      readonly count: number;
      readonly points: number;
      readonly at_ms: number;
    }[];
    readonly evidence?: string;
  }[];
}

/** A member as the API shows it. */
export interface MemberJson {
  readonly actor: string;
  readonly state: MemberState;
  readonly roles: readonly string[];
  readonly author?: number;
  readonly peer?: string;
  readonly addrs?: readonly string[];
  readonly labels?: readonly string[];
  readonly capabilities?: readonly string[];
  readonly barred?: boolean;
  /** It gets a seat once it is ready. */
  readonly seeksSeat?: boolean;
  /** Id of the invite by which it came. */
  readonly invite?: string;
  readonly reason?: string;
  /** SHA-256 of the COSE_Key that signs for it; none where that was revoked. */
  readonly key?: string;
  /** Oldest first, where they were changed. */
  readonly keys?: readonly {
    readonly id: string;
    readonly state: string;
    readonly since: number;
    readonly until?: number;
    readonly revoked?: number;
  }[];
}

export interface MembersJson {
  readonly epoch: number;
  readonly quorum: number;
  readonly members: readonly MemberJson[];
}

export interface InvitesJson {
  readonly invites: readonly {
    readonly id: string;
    readonly issuer: string;
    readonly state: string;
    readonly roles: readonly string[];
    readonly notAfter_ms: number;
    readonly usedBy?: string;
  }[];
}

export interface LogPage {
  readonly events: readonly EventJson[];
  readonly finalSeq: number;
  readonly next?: number;
}

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
  readonly forgotten: readonly ForgottenDenials[];
}
