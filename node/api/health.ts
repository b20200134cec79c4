import { Type } from 'typebox';
import type { NodeMetrics } from '#node/metrics.ts';
import type { Api } from './parts.ts';
import * as schemas from './schemas.ts';
import { StatusReply } from './status.ts';
import type { NodeStatus } from './status.ts';

export interface Readiness {
  readonly ready: boolean;
  /** What it waits for, in sentences; empty when ready. */
  readonly reasons: readonly string[];
}

export interface HealthParts {
  readonly status: () => NodeStatus;
  readonly isReady: () => Readiness;
  readonly metrics: NodeMetrics;
}

const ReadyReply = Type.Object(
  { ready: Type.Boolean(), reasons: Type.Array(Type.String()) },
  { description: 'Whether the node serves, and if not, what it waits for' },
);

/** Probes, metrics and status. */
export async function healthRoutes(app: Api, parts: HealthParts): Promise<void> {
  const { status, isReady, metrics } = parts;

  app.get(
    '/livez',
    {
      schema: {
        operationId: 'livez',
        summary: 'Whether the process answers',
        tags: ['health'],
        response: {
          200: Type.Object({ live: Type.Boolean() }, { description: 'It does' }),
          default: schemas.ErrorReply,
        },
      },
    },
    () => ({ live: true }),
  );

  app.get(
    '/readyz',
    {
      schema: {
        operationId: 'readyz',
        summary: 'Whether the node serves requests',
        tags: ['health'],
        response: { 200: ReadyReply, 503: ReadyReply, default: schemas.ErrorReply },
      },
    },
    (_request, reply) => {
      const { ready, reasons } = isReady();
      reply.code(ready ? 200 : 503);
      return { ready, reasons: [...reasons] };
    },
  );

  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'metrics',
        summary: 'Metrics for Prometheus',
        tags: ['health'],
        response: {
          200: schemas.contentReply('Text exposition format', { 'text/plain': Type.String() }),
          default: schemas.ErrorReply,
        },
      },
    },
    async (_request, reply) =>
      reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  );

  app.get(
    '/v1/status',
    {
      schema: {
        operationId: 'status',
        summary: 'How the node stands',
        tags: ['health'],
        response: { 200: StatusReply, default: schemas.ErrorReply },
      },
    },
    () => status(),
  );
}
