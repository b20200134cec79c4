import type {
  FastifyBaseLogger, FastifyInstance, FastifyRequest, RawReplyDefaultExpression,
  RawRequestDefaultExpression, RawServerDefault,
} from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { Core } from '#ledger/core.ts';
import type { BlockStore, Clock } from '#ledger/ports.ts';
import type { NodeMetrics } from '#node/metrics.ts';
import type { KeyFilter } from './permission.ts';
import type { Stopping } from './stopping.ts';
import type { ReadView } from './view.ts';

/** A fastify instance whose route schemas type their handlers. */
export type Api = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** What the routes of the ledger work with. */
export interface LedgerParts {
  readonly core: Core;
  /** Read for what is final, so that nothing is shown before it is written. */
  readonly store: Pick<BlockStore, 'get' | 'range'>;
  readonly clock: Clock;
  readonly metrics: NodeMetrics;
  readonly view: ReadView;
  readonly stopping: Stopping;
  /** The member or workload that a request makes the node speak for. */
  readonly speaksFor: (request: FastifyRequest) => string | undefined;
  /** In a network with policies on its ledger: which keys a caller may read. */
  readonly keysFor?: KeyFilter;
  /** Events of callers under verification at once. */
  readonly eventsUnderWay_max: number;
}
