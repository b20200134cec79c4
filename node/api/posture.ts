import { Type } from 'typebox';
import { GRADES, thresholdOf } from '#projections/posture-grades.ts';
import { listPosture } from '#projections/posture-view.ts';
import { posture } from '#projections/posture.ts';
import type { Api, LedgerParts } from './parts.ts';
import * as schemas from './schemas.ts';

const Grade = Type.Enum([...GRADES]);
const Points = Type.Integer({ description: 'thousandths of a point' });
const Time = Type.Integer({ description: 'milliseconds since the Unix epoch' });

const PostureReply = Type.Object(
  {
    grades: Type.Array(Type.Object({ grade: Grade, threshold: Points }), {
      description: 'from which score on each is due',
    }),
    members: Type.Array(
      Type.Object({
        actor: schemas.ActorId,
        score: Type.Integer({ description: 'that enough validators agree on, thousandths' }),
        grade: Grade,
        due: Grade,
        canSpare: Type.Boolean({ description: 'the committee has a quorum without it' }),
        isConvicted: Type.Boolean({ description: 'evidence of equivocation is final' }),
        isolation: Type.Optional(
          Type.Object({
            level: Type.Integer({ description: 'index of the grade as it was given' }),
            since_ms: Time,
            until_ms: Time,
            by: Type.Enum(['rule', 'operator']),
            author: schemas.ActorId,
            reason: Type.String(),
            recovers_ms: Type.Integer({ description: 'not lowered before this time' }),
            floor: Type.Optional(
              Type.Object(
                { grade: Grade, until_ms: Time, author: schemas.ActorId, reason: Type.String() },
                { description: 'ordered by an operator: a graver grade by rule falls back to it' },
              ),
            ),
          }),
        ),
        reports: Type.Array(
          Type.Object({
            reporter: schemas.ActorId,
            what: Type.String(),
            count: schemas.Count,
            points: Type.Integer({ description: 'held at `at_ms`; they halve since' }),
            at_ms: Time,
            to_ms: Time,
            ids: Type.Array(Type.String(), { description: 'of the last reports' }),
          }),
        ),
        evidence: Type.Optional(Type.String({ description: 'id of the event' })),
      }),
    ),
  },
  { description: 'Members of whom something is held, in the order of the log' },
);

/** `/v1/posture`: how members behave, as the log has it, and who is isolated. */
export async function postureRoutes(app: Api, { core, clock }: LedgerParts): Promise<void> {
  app.get(
    '/v1/posture',
    {
      schema: {
        operationId: 'listPosture',
        summary: 'Scores and grades of isolation of members',
        tags: ['network'],
        response: { 200: PostureReply, default: schemas.ErrorReply },
      },
    },
    () => ({
      grades: GRADES.map((grade) => ({ grade, threshold: thresholdOf(grade) })),
      members: listPosture(
        core.rows(posture.name, 'final'),
        core.replica.fold.seats,
        clock.wall_ms(),
      ).map(({ reports, ...rest }) => ({
        ...rest,
        reports: reports.map((one) => ({ ...one, ids: [...one.ids] })),
      })),
    }),
  );
}
