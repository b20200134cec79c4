import { X0tError, fail } from '#ledger/errors.ts';
import { systemClock, systemEntropy } from '#node/system.ts';
import type { WorkloadClient } from '#node/identity/workload-client.ts';

/** What commands have in common that ask a Workload API. */

/** A Workload API that gives nothing in this time is given up. */
const FIRST_MS = 10_000;
const DENIED = 'the Workload API gives this process nothing';

/** gRPC is loaded only by those who need it. Throws `workload_endpoint_invalid`. */
export async function openWorkload(uri: string): Promise<WorkloadClient> {
  const { WorkloadClient: Opened } = await import('#node/identity/workload-client.ts');
  const { parseEndpoint } = await import('#node/identity/workload-endpoint.ts');
  const log = { info: () => {}, warn: () => {}, error: () => {}, debug: () => {} };
  const endpoint = parseEndpoint(uri);
  return new Opened({ endpoint, clock: systemClock, entropy: systemEntropy, log });
}

/** Until the first message; throws the reason why there is none, or `workload_unavailable`. */
export function firstState(client: WorkloadClient): Promise<void> {
  return until(client, FIRST_MS, () => {
    const { status, problems } = client.current;
    if (status === 'denied') fail('workload_denied', DENIED);
    const problem = problems.FetchX509SVID;
    if (status === 'refused') fail(problem ?? 'workload_refused', 'the Workload API refuses calls');
    return status === 'ready';
  });
}

/** Until the SVID is another one; ends with an error when it was taken away. */
export function nextSvid(client: WorkloadClient, before_ms: number): Promise<void> {
  return until(client, undefined, () => {
    const { status, svids } = client.current;
    if (status === 'denied') fail('workload_denied', DENIED);
    return svids[0] !== undefined && svids[0].notAfter_ms !== before_ms;
  });
}

async function until(
  client: WorkloadClient,
  limit_ms: number | undefined,
  holds: () => boolean,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const look = (): void => {
    try {
      if (holds()) resolve();
    } catch (error) {
      reject(error);
    }
  };
  const giveUp = (): void => {
    const message = 'the Workload API gave no answer in time';
    reject(new X0tError('workload_unavailable', message, { limit_ms: limit_ms ?? 0 }));
  };
  const end = client.subscribe(look);
  const timer = limit_ms === undefined ? undefined : setTimeout(giveUp, limit_ms);
  look();
  try {
    await promise;
  } finally {
    end();
    clearTimeout(timer);
  }
}
