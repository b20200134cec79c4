import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import type {
  Metadata,
  ServerUnaryCall,
  ServerWritableStream,
  UntypedServiceImplementation,
  sendUnaryData,
} from '@grpc/grpc-js';
import type { Http2Server, IncomingHttpHeaders } from 'node:http2';
import type { Duplex } from 'node:stream';
import { X0tError, codeOf, fail } from '#ledger/errors.ts';
import type { PeerProcess } from '#native/peer-process.ts';
import type { RegistrationEntry } from '#projections/identity-entries.ts';
import type { Provider } from './provider.ts';
import { SECURITY_HEADER, WORKLOAD_SERVICE } from './workload-proto.ts';
import type { JwtSvidRequest, ValidateJwtSvidRequest } from './workload-proto.ts';

/** Calls that one connection has open at once: three streams, and some tokens. */
const CALLS_MAX = 16;
/** Bytes of a request: a token with its audience. */
const REQUEST_BYTES_MAX = 32 * 1024;
/** Calls in a row that are told to wait before the connection is closed. */
const REFUSALS_MAX = 64;
/** A connection without a call is closed: a client that keeps a stream open has one. */
const IDLE_MS = 60_000;
/** Memory of a connection's HTTP/2 session, MiB. */
const SESSION_MIB = 10;

/** What the calls of all connections share. */
export interface CallContext {
  readonly provider: Provider;
  /** Takes one of the calls that the caller's uid has, or fails with `workload_busy`. */
  readonly spend: () => void;
  /** Counts a refusal by its code. */
  readonly refused: (code: string) => void;
}

interface OpenStream {
  readonly call: ServerWritableStream<object, object>;
  readonly make: (entries: readonly RegistrationEntry[]) => object | Promise<object>;
  /** Digest of what was sent last. */
  sent: string;
  isSending: boolean;
  /** Asked for again while it was being sent. */
  isAgain: boolean;
  isOver: boolean;
}

/** What of gRPC's server is not in its types. */
interface InnerServer {
  readonly http2Servers: ReadonlyMap<Http2Server, unknown>;
}

const PATHS = new Set<unknown>(Object.values(WORKLOAD_SERVICE).map(({ path }) => path));

/** Whether a handler of ours gets the request. */
function isOfService(headers: IncomingHttpHeaders): boolean {
  const type = headers['content-type'];
  return PATHS.has(headers[':path']) && type?.startsWith('application/grpc') === true;
}

/** gRPC codes of Workload Endpoint, 6; any other code of ours means that the caller is refused. */
const GRPC_CODES: Readonly<Record<string, status>> = {
  workload_header_missing: status.INVALID_ARGUMENT,
  workload_request_invalid: status.INVALID_ARGUMENT,
  spiffe_id_invalid: status.INVALID_ARGUMENT,
  jwt_svid_invalid: status.INVALID_ARGUMENT,
  jwt_svid_audience: status.INVALID_ARGUMENT,
  jwt_svid_signature: status.INVALID_ARGUMENT,
  jwt_svid_key_unknown: status.INVALID_ARGUMENT,
  svid_expired: status.INVALID_ARGUMENT,
  svid_not_registered: status.INVALID_ARGUMENT,
  svid_not_yet_valid: status.INVALID_ARGUMENT,
  trust_domain_unknown: status.INVALID_ARGUMENT,
  issuer_not_ready: status.UNAVAILABLE,
  issuer_expired: status.UNAVAILABLE,
  workload_busy: status.UNAVAILABLE,
};

/**
 * The Workload API for one attested caller: a gRPC server that has this one connection and no
 * other, so that no call can be taken for another caller's. The caller is attested anew for every
 * message, also for those of an open stream.
 */
export class CallerServer {
  readonly #context: CallContext;
  readonly #caller: PeerProcess;
  readonly #server: Server;
  readonly #streams = new Set<OpenStream>();
  readonly #connection: Duplex;
  #refusals = 0;

  constructor(caller: PeerProcess, connection: Duplex, context: CallContext) {
    this.#context = context;
    this.#caller = caller;
    this.#connection = connection;
    this.#server = new Server({
      'grpc.enable_channelz': 0,
      'grpc.max_concurrent_streams': CALLS_MAX,
      'grpc.max_receive_message_length': REQUEST_BYTES_MAX,
      'grpc.max_connection_idle_ms': IDLE_MS,
      'grpc-node.max_session_memory': SESSION_MIB,
    });
    this.#server.addService(WORKLOAD_SERVICE, this.#handlers());
    const injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#meterOthers();
    injector.injectConnection(connection);
  }

  /**
   * Sends to every open stream what has changed, and ends those whose caller is entitled no more.
   */
  async look(): Promise<void> {
    const streams = [...this.#streams];
    if (streams.length === 0) return;
    try {
      const entries = await this.#context.provider.entriesOf(this.#caller);
      await Promise.all(streams.map((stream) => this.#send(stream, entries)));
    } catch (error) {
      for (const stream of streams) this.#end(stream, error);
    }
  }

  /** Ends its calls; the connection ends with them. */
  close(): void {
    this.#server.forceShutdown();
    this.#streams.clear();
  }

  /**
   * Requests that no handler sees cost a call, too: gRPC answers by itself what is not of the
   * service. It has no public name for where they pass; without one no connection is served.
   */
  #meterOthers(): void {
    const { http2Servers } = this.#server as unknown as InnerServer;
    for (const http2 of http2Servers.keys()) {
      http2.prependListener('stream', (_stream, headers) => {
        if (isOfService(headers)) return;
        try {
          this.#spend();
        } catch (error) {
          this.#context.refused(codeOf(error));
          this.#connection.destroy();
        }
      });
    }
  }

  /** Who goes on although told to wait loses the connection: an answer costs, too. */
  #spend(): void {
    try {
      this.#context.spend();
      this.#refusals = 0;
    } catch (error) {
      this.#refusals += 1;
      if (this.#refusals > REFUSALS_MAX) this.#connection.destroy();
      throw error;
    }
  }

  #handlers(): UntypedServiceImplementation {
    const { provider } = this.#context;
    return {
      FetchX509SVID: this.#stream((entries) => provider.x509(entries)),
      FetchX509Bundles: this.#stream((entries) => provider.x509Bundles(entries)),
      FetchJWTBundles: this.#stream((entries) => provider.jwtBundles(entries)),
      FetchJWTSVID: this.#unary((entries, request) =>
        provider.jwt(entries, request as JwtSvidRequest),
      ),
      ValidateJWTSVID: this.#unary((entries, request) =>
        provider.validate(entries, request as ValidateJwtSvidRequest),
      ),
    };
  }

  #unary(answer: (entries: readonly RegistrationEntry[], request: object) => Promise<object>) {
    return (call: ServerUnaryCall<object, object>, done: sendUnaryData<object>): void => {
      void this.#answer(call, answer, done);
    };
  }

  async #answer(
    call: ServerUnaryCall<object, object>,
    answer: (entries: readonly RegistrationEntry[], request: object) => Promise<object>,
    done: sendUnaryData<object>,
  ): Promise<void> {
    try {
      this.#spend();
      checkHeader(call.metadata);
      const entries = await this.#context.provider.entriesOf(this.#caller);
      done(null, await answer(entries, call.request));
    } catch (error) {
      done(this.#grpcError(error));
    }
  }

  #stream(make: OpenStream['make']) {
    return (call: ServerWritableStream<object, object>): void => {
      const stream = { call, make, sent: '', isSending: false, isAgain: false, isOver: false };
      const begin = async (): Promise<void> => {
        this.#spend();
        checkHeader(call.metadata);
        this.#streams.add(stream);
        const forget = (): void => void this.#streams.delete(stream);
        call.on('cancelled', forget).on('close', forget).on('error', forget);
        await this.#send(stream);
      };
      begin().catch((error: unknown) => this.#end(stream, error));
    };
  }

  /** One message at a time; a caller that does not read gets the newest state when it does. */
  async #send(stream: OpenStream, known?: readonly RegistrationEntry[]): Promise<void> {
    const { call } = stream;
    stream.isAgain = true;
    if (stream.isSending) return;
    stream.isSending = true;
    let fresh = known;
    try {
      while (stream.isAgain && this.#streams.has(stream) && !call.writableNeedDrain) {
        stream.isAgain = false;
        const entries = fresh ?? (await this.#context.provider.entriesOf(this.#caller));
        fresh = undefined;
        const response = await stream.make(entries);
        const digest = digestOf(response);
        if (digest === stream.sent || call.cancelled) continue;
        stream.sent = digest;
        call.write(response);
      }
      if (call.writableNeedDrain) call.once('drain', () => void this.#send(stream));
    } catch (error) {
      this.#end(stream, error);
    } finally {
      stream.isSending = false;
    }
  }

  #end(stream: OpenStream, error: unknown): void {
    this.#streams.delete(stream);
    if (stream.isOver) return;
    stream.isOver = true;
    if (!stream.call.cancelled) stream.call.emit('error', this.#grpcError(error));
  }

  /** Our own codes and sentences go to the caller; of anything else only that it happened. */
  #grpcError(error: unknown): { code: status; details: string } {
    const code = codeOf(error);
    this.#context.refused(code);
    if (!(error instanceof X0tError)) return { code: status.INTERNAL, details: 'internal' };
    return {
      code: GRPC_CODES[code] ?? status.PERMISSION_DENIED,
      details: `${code}: ${error.message}`,
    };
  }
}

/** Of all fields with their names: private keys stand in it, so no text is kept. */
function digestOf(message: object): string {
  const digest = createHash('sha256');
  addTo(digest, message);
  return digest.digest('hex');
}

function addTo(digest: Hash, value: unknown): void {
  if (value instanceof Uint8Array) digest.update(`bytes ${value.length} `).update(value);
  else if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value);
    digest.update(`fields ${fields.length} `);
    for (const [name, field] of fields) {
      addTo(digest, name);
      addTo(digest, field);
    }
  } else {
    const text = String(value);
    digest.update(`text ${text.length} ${text}`);
  }
}

function checkHeader(metadata: Metadata): void {
  const values = metadata.get(SECURITY_HEADER);
  if (values.length === 1 && values[0] === 'true') return;
  fail('workload_header_missing', `every call carries the header ${SECURITY_HEADER}: true`);
}
