import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { fail } from '#ledger/errors.ts';
import type { Id, Verifier } from '#ledger/ports.ts';
import { createApi } from '#node/api/index.ts';
import type { ApiOptions, ApiStatus } from '#node/api/index.ts';
import { TlsListener } from '#node/api/tls-listener.ts';
import { AheadMarks, aheadFile } from '#node/auth/ahead-marks.ts';
import { createAuthenticator } from '#node/auth/authenticator.ts';
import { memberKeys } from '#node/auth/member-keys.ts';
import { Tokens } from '#node/auth/tokens.ts';
import type { LazyIdentity } from '#node/identity/lazy.ts';
import { RATES } from './config.ts';
import type { NodeConfig } from './config.ts';

export interface NodeApiOptions extends Omit<ApiOptions, 'authenticator' | 'rates' | 'identity'> {
  /** The data directory, whose tokens count. */
  readonly directory: string;
  /** The node itself. */
  readonly actor: Id;
  readonly config: NodeConfig['api'];
  readonly verifier: Pick<Verifier, 'verify'>;
  readonly identity: LazyIdentity;
}

/** The API of a node: its callers are authenticated in the same way at all its listeners. */
export class NodeApi {
  readonly app: FastifyInstance;
  readonly #options: NodeApiOptions;
  readonly #tls: { listener?: TlsListener };

  private constructor(
    app: FastifyInstance,
    options: NodeApiOptions,
    tls: { listener?: TlsListener },
  ) {
    this.app = app;
    this.#options = options;
    this.#tls = tls;
  }

  static async create(options: NodeApiOptions): Promise<NodeApi> {
    const { actor, config, clock, core, directory, identity, log, verifier } = options;
    const rate = { ...RATES, ...config.rate };
    const anonymous = { perSecond: rate.anonymousPerSecond, burst: rate.anonymousBurst };
    const opened: { app?: FastifyInstance; listener?: TlsListener } = {};
    const authenticator = createAuthenticator({
      clock,
      verifier,
      keyOf: memberKeys(core),
      own: () => ({
        actor,
        names: config.names,
        listeners: [
          { host: config.host, port: portOf(opened.app) },
          ...(opened.listener
            ? [{ host: config.tls?.host ?? config.host, port: opened.listener.port }]
            : []),
        ],
      }),
      tokens: new Tokens({ directory, clock, log }),
      trust: () => identity.trust(),
      audience: config.audience,
      failures: anonymous,
      ahead: await AheadMarks.open({ file: aheadFile(directory), clock, log }),
    });
    const identities = { perSecond: rate.perSecond, burst: rate.burst };
    const rates = { identity: identities, anonymous };
    opened.app = await createApi({ ...options, authenticator, rates });
    return new NodeApi(opened.app, options, opened);
  }

  /**
   * Base URL for HTTP as this machine reaches it, with the port that was taken. Throws
   * `api_port_taken`.
   */
  async listen(): Promise<string> {
    const { config: { host, port, tls }, identity, log } = this.#options;
    const url = await listening(host, port, () => this.app.listen({ host, port }));
    if (tls) {
      const at = { host: tls.host ?? host, port: tls.port };
      this.#tls.listener = await listening(at.host, at.port, () =>
        TlsListener.open(this.app, { ...at, own: identity.own, log }),
      );
    }
    return url.replace('//[::]:', '//[::1]:');
  }

  get status(): ApiStatus {
    const { config: { host, tls } } = this.#options;
    const { listener } = this.#tls;
    const svid = listener?.svid;
    return {
      http: { host, port: portOf(this.app) },
      ...(listener && {
        https: {
          host: tls?.host ?? host,
          port: listener.port,
          state: svid ? ('ready' as const) : ('waiting' as const),
          ...(svid && { spiffeId: svid.id.uri, notAfter_ms: svid.notAfter_ms }),
        },
      }),
      proofs: ['signature', 'operator_token', 'monitor_token', 'jwt_svid'].concat(
        listener ? ['x509_svid'] : [],
      ),
    };
  }

  /** What it lacks, in sentences. */
  get limitations(): readonly string[] {
    const { listener } = this.#tls;
    return listener && !listener.svid
      ? ['The API is not reached by TLS: this node has no SVID that holds.']
      : [];
  }

  async close(): Promise<void> {
    await Promise.all([this.app.close(), this.#tls.listener?.close()]);
  }
}

function portOf(app: FastifyInstance | undefined): number {
  return (app?.server.address() as AddressInfo | null | undefined)?.port ?? 0;
}

async function listening<T>(host: string, port: number, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause;
    const message = 'Another program has the port of the API: choose one with --api-port.';
    return fail('api_port_taken', message, { host, port });
  }
}
