import { Client, Metadata, credentials } from '@grpc/grpc-js';
import type { ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { X0tError, fail } from '#ledger/errors.ts';
import type { Clock, Entropy, Log } from '#ledger/ports.ts';
import type { Certificate } from './certificate.ts';
import type { JwtAuthority } from './jwt-svid.ts';
import { JWT_CHARS_MAX } from './limits.ts';
import { parseSpiffeId } from '#projections/spiffe-id.ts';
import type { SpiffeId } from '#projections/spiffe-id.ts';
import type { WorkloadEndpoint } from './workload-endpoint.ts';
import {
  readJwtBundlesMessage,
  readX509BundlesMessage,
  readX509Context,
} from './workload-materials.ts';
import type { JwtBundles, OwnSvid, X509Bundles, X509Context } from './workload-materials.ts';
import { SECURITY_HEADER, WORKLOAD_SERVICE, objectOf } from './workload-proto.ts';
import type {
  JwtBundlesResponse,
  JwtSvidResponse,
  ValidateJwtSvidResponse,
  WorkloadMethod,
  X509BundlesResponse,
  X509SvidResponse,
} from './workload-proto.ts';
import { BACKOFF_MS, WorkloadStream, workloadError } from './workload-stream.ts';

export interface WorkloadClientParts {
  readonly endpoint: WorkloadEndpoint;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
}

/**
 * `waiting`: nothing came yet; `ready`: there are SVIDs; `denied`: they were taken away, asked
 * again from time to time; `refused`: the Workload API does not take our calls, not asked again.
 */
export type WorkloadStatus = 'waiting' | 'ready' | 'denied' | 'refused';

/** What the Workload API gives at this moment. Immutable, replaced as a whole. */
export interface WorkloadState {
  readonly status: WorkloadStatus;
  /** By stream: the code of what went wrong last, until its next message is taken. */
  readonly problems: Readonly<Partial<Record<WorkloadMethod, string>>>;
  readonly svids: readonly OwnSvid[];
  readonly x509Bundles: X509Bundles;
  readonly jwtBundles: JwtBundles;
}

export interface FetchedJwt {
  readonly id: SpiffeId;
  readonly token: string;
  readonly hint: string;
}

/** A unary call ends after this time. */
const CALL_MS = 10_000;
/** Bytes of a message: the bundles of 256 trust domains with a few authorities each. */
const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;

const NOTHING: Pick<X509Context, 'svids' | 'bundles'> = { svids: [], bundles: new Map() };

/**
 * A client of the SPIFFE Workload API: three streams that are kept open, and the unary calls. Each
 * message replaces what its stream gave before; `PermissionDenied` takes it away; a connection that
 * is lost does not.
 */
export class WorkloadClient {
  readonly #parts: WorkloadClientParts;
  readonly #client: Client;
  readonly #streams: readonly WorkloadStream[];
  readonly #listeners = new Set<() => void>();
  #x509: X509Context = NOTHING;
  #bundles: X509Bundles = new Map();
  #state: WorkloadState = {
    status: 'waiting',
    problems: {},
    svids: [],
    x509Bundles: new Map(),
    jwtBundles: new Map(),
  };

  constructor(parts: WorkloadClientParts) {
    this.#parts = parts;
    this.#client = new Client(parts.endpoint.target, credentials.createInsecure(), {
      'grpc.enable_channelz': 0,
      'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
      // a socket's path is no host name
      'grpc.default_authority': 'localhost',
      'grpc.use_local_subchannel_pool': 1,
      // the streams have their own pauses: the channel's must not be longer
      'grpc.initial_reconnect_backoff_ms': BACKOFF_MS.first,
      'grpc.max_reconnect_backoff_ms': BACKOFF_MS.last,
    });
    this.#streams = [
      this.#stream('FetchX509SVID', (message) => this.#takeSvids(message as X509SvidResponse), () =>
        this.#dropSvids(),
      ),
      this.#stream(
        'FetchX509Bundles',
        (message) => this.#takeBundles(readX509BundlesMessage(message as X509BundlesResponse)),
        () => this.#takeBundles(new Map()),
      ),
      this.#stream(
        'FetchJWTBundles',
        (message) =>
          this.#set({ jwtBundles: readJwtBundlesMessage(message as JwtBundlesResponse) }),
        () => this.#set({ jwtBundles: new Map() }),
      ),
    ];
  }

  get current(): WorkloadState {
    return this.#state;
  }

  /** Called after `current` was replaced. The returned function ends it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The default identity, if it still holds. Fails with `workload_no_svid`. */
  get defaultSvid(): OwnSvid {
    const now_ms = this.#parts.clock.wall_ms();
    const svid = this.#state.svids.find(({ notAfter_ms }) => now_ms < notAfter_ms);
    return svid ?? fail('workload_no_svid', 'the Workload API has given no SVID that still holds');
  }

  /** For `validateX509Svid`: exact names only. */
  x509AuthoritiesOf(trustDomain: string): readonly Certificate[] | undefined {
    return this.#state.x509Bundles.get(trustDomain);
  }

  /** For `validateJwtSvid`: exact names only. */
  jwtAuthoritiesOf(trustDomain: string): readonly JwtAuthority[] | undefined {
    return this.#state.jwtBundles.get(trustDomain);
  }

  /** Tokens for an audience: of all own identities, or of one. Secret. */
  async fetchJwt(audience: readonly string[], id?: SpiffeId): Promise<readonly FetchedJwt[]> {
    const request = { audience: [...audience], spiffe_id: id?.uri ?? '' };
    const { svids } = (await this.#unary('FetchJWTSVID', request)) as JwtSvidResponse;
    const isWhole = svids.every(
      ({ svid, spiffe_id }) => svid !== '' && svid.length <= JWT_CHARS_MAX && spiffe_id !== '',
    );
    if (svids.length === 0 || !isWhole) {
      fail('workload_response_invalid', 'the Workload API gave an invalid message', {
        field: 'svids',
      });
    }
    const hints = new Set<string>();
    return svids.flatMap(({ spiffe_id, svid, hint }) => {
      if (hint !== '' && hints.has(hint)) return [];
      hints.add(hint);
      return { id: parseSpiffeId(spiffe_id), token: svid, hint };
    });
  }

  /** Lets the Workload API validate a token for our audience. */
  async validateJwt(
    audience: string,
    token: string,
  ): Promise<{ readonly id: SpiffeId; readonly claims: Readonly<Record<string, unknown>> }> {
    const request = { audience, svid: token };
    const response = await this.#unary('ValidateJWTSVID', request);
    const { spiffe_id, claims } = response as ValidateJwtSvidResponse;
    if (!claims) {
      return fail('workload_response_invalid', 'the Workload API gave an invalid message', {
        field: 'claims',
      });
    }
    return { id: parseSpiffeId(spiffe_id), claims: objectOf(claims) };
  }

  close(): void {
    for (const stream of this.#streams) stream.close();
    this.#client.close();
    this.#listeners.clear();
  }

  #takeSvids(message: X509SvidResponse): void {
    this.#x509 = readX509Context(message, this.#parts.clock.wall_ms());
    this.#set({
      status: 'ready',
      svids: this.#x509.svids,
      x509Bundles: this.#joined(),
    });
  }

  #dropSvids(): void {
    this.#x509 = NOTHING;
    this.#set({ svids: [], x509Bundles: this.#joined() });
  }

  #takeBundles(bundles: X509Bundles): void {
    this.#bundles = bundles;
    this.#set({ x509Bundles: this.#joined() });
  }

  /** Both streams give bundles: those that come with the SVIDs win. */
  #joined(): X509Bundles {
    return new Map([...this.#bundles, ...this.#x509.bundles]);
  }

  #stream(
    method: WorkloadMethod,
    onMessage: (message: object) => void,
    drop: () => void,
  ): WorkloadStream {
    const { clock, entropy, log } = this.#parts;
    return new WorkloadStream({
      clock,
      entropy,
      open: () => this.#open(method),
      onMessage: (message) => {
        const problems = omit(this.#state.problems, method);
        onMessage(message);
        this.#set({ problems });
      },
      onError: (error, isFinal) => {
        const { code } = error;
        log.warn({ code, method, ...error.data }, 'the Workload API stream had an error');
        if (code === 'workload_denied' || isFinal) drop();
        const status = statusAfter(this.#state.status, method, code);
        this.#set({ status, problems: { ...this.#state.problems, [method]: code } });
      },
    });
  }

  #open(method: WorkloadMethod): ClientReadableStream<object> {
    const { path, requestSerialize, responseDeserialize } = WORKLOAD_SERVICE[method];
    return this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      {},
      headers(),
    );
  }

  #unary(method: WorkloadMethod, request: object): Promise<object> {
    const { path, requestSerialize, responseDeserialize } = WORKLOAD_SERVICE[method];
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        headers(),
        // the deadline of a call is by the machine's clock
        { deadline: new Date(Date.now() + CALL_MS) },
        (error: ServiceError | null, response?: object) => {
          if (error) reject(workloadError(error));
          else if (response) resolve(response);
          else reject(new X0tError('workload_unavailable', 'the Workload API gave no answer'));
        },
      );
    });
  }

  #set(change: Partial<WorkloadState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}

function omit(problems: WorkloadState['problems'], method: WorkloadMethod) {
  const { [method]: _solved, ...others } = problems;
  return others;
}

/** The SVIDs' stream decides; the bundles' streams only report. */
function statusAfter(
  before: WorkloadStatus,
  method: WorkloadMethod,
  code: string,
): WorkloadStatus {
  if (method !== 'FetchX509SVID') return before;
  if (code === 'workload_refused') return 'refused';
  return code === 'workload_denied' ? 'denied' : before;
}

function headers(): Metadata {
  const metadata = new Metadata();
  metadata.set(SECURITY_HEADER, 'true');
  return metadata;
}
