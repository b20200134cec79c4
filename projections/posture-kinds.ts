import { Type } from 'typebox';
import { FAULTS, GRADES } from './posture-grades.ts';
import type { Fault, Grade } from './posture-grades.ts';

/** Bodies of the kinds that say how members behave, and what follows from it. */

export const REPORT_KIND = 'posture.report/1';
export const ISOLATE_KIND = 'posture.isolate/1';
export const RECOVER_KIND = 'posture.recover/1';

/** Events that an isolation names: enough for a committee of any size. */
export const BASIS_MAX = 64;
const REASON_CHARS_MAX = 256;
const COUNT_MAX = 1_000_000;

const digest = (about: string) =>
  Type.Refine(
    Type.Unsafe<Uint8Array>({ description: about }),
    (value) => value instanceof Uint8Array && value.length === 32,
  );
const Actor = digest('actor, 32 bytes');
const Time = Type.Integer({ minimum: 0, description: 'ms since the Unix epoch' });
const By = Type.Enum(['rule', 'operator']);
const Reason = Type.Refine(
  Type.String({ minLength: 1, maxLength: REASON_CHARS_MAX, description: 'for people' }),
  (text) => text.isWellFormed(),
);
const plain = { additionalProperties: false } as const;

/** `posture.report/1`: what its author saw of a member, counted over a span of time. */
export const PostureReport = Type.Object(
  {
    actor: Actor,
    what: Type.Enum(Object.keys(FAULTS)),
    count: Type.Integer({ minimum: 1, maximum: COUNT_MAX }),
    from_ms: Time,
    to_ms: Time,
  },
  plain,
);

/** `posture.isolate/1`: a member gets a graver grade. */
export const PostureIsolate = Type.Object(
  {
    actor: Actor,
    grade: Type.Enum(GRADES.slice(1)),
    reason: Reason,
    /** When an operator's ends; by rule the commit's time and the grade say so, not this. */
    until_ms: Time,
    by: By,
    basis: Type.Optional(
      Type.Array(digest('id of a report, or of evidence'), {
        maxItems: BASIS_MAX,
        description: 'what the score follows from; by rule',
      }),
    ),
  },
  plain,
);

/** `posture.recover/1`: a member's grade becomes the next milder one. */
export const PostureRecover = Type.Object({ actor: Actor, reason: Reason, by: By }, plain);

export interface ReportBody {
  readonly actor: Uint8Array;
  readonly what: Fault;
  readonly count: number;
  readonly from_ms: number;
  readonly to_ms: number;
}

export interface IsolateBody {
  readonly actor: Uint8Array;
  readonly grade: Exclude<Grade, 'none'>;
  readonly reason: string;
  readonly until_ms: number;
  readonly by: 'rule' | 'operator';
  readonly basis?: readonly Uint8Array[];
}

export interface RecoverBody {
  readonly actor: Uint8Array;
  readonly reason: string;
  readonly by: 'rule' | 'operator';
}
