import { setTimeout as sleep } from 'node:timers/promises';
import { submissionOf } from '#governance/participant.ts';
import { X0tError, codeOf, fail } from '#ledger/errors.ts';
import type { Level } from '#ledger/core.ts';
import type { CheckpointJson } from '#node/api/checkpoints.ts';
import type { Readiness } from '#node/api/health.ts';
import type { IdentitiesJson } from '#node/api/identity.ts';
import type { EventJson } from '#node/api/render.ts';
import type { NodeStatus } from '#node/api/status.ts';
import type { ReadEnvelope } from '#node/api/view.ts';
import { isLoopbackUrl } from '#node/auth/request-target.ts';
import type {
  DecisionsJson, ExplainedJson, InvitesJson, KvJson, KvPage, LogPage, MemberJson, MembersJson,
  PoliciesJson, PolicyHistoryJson, PostureJson, Written,
} from './client-answers.ts';
import type { ClientAuth } from './client-auth.ts';
import { errorOf, foreign, unreachable } from './client-errors.ts';
import type { DirectFetch, DirectRequest } from './exchange.ts';
import { messagesOf } from './event-stream.ts';
import { loopbackFetch } from './loopback-fetch.ts';
import { signedAgain } from './sign-again.ts';

export type {
  DecisionsJson, ExplainedJson, InvitesJson, KvJson, KvPage, LogPage, MemberJson, MembersJson,
  PoliciesJson, PolicyHistoryJson, PostureJson, Written,
} from './client-answers.ts';
export { ApiError } from './client-errors.ts';

export interface WriteOptions {
  /** Answer when the event is final; else when it is accepted. */
  readonly isFinal?: boolean;
  /** With `isFinal`: throws `final_timeout` after so long. */
  readonly timeout_ms?: number;
  /** Applies only if the key was last changed by this final event; 0: if there is no key. */
  readonly ifSeq?: number;
}

export interface ClientOptions {
  /** An answer that takes longer is given up with `node_timeout`. */
  readonly timeout_ms?: number;
  /** Ends every request that is under way, with `node_unreachable`, and refuses later ones. */
  readonly signal?: AbortSignal;
  /** How requests prove who sends them; without it only `ready` is answered. */
  readonly auth?: ClientAuth;
  /**
   * Sends to https addresses, to no server but the node: `spiffeFetch`. Without it they are refused
   * with `server_trust_missing`.
   */
  readonly secureFetch?: DirectFetch;
}

type Query = Readonly<Record<string, string | number | undefined>>;

interface Request {
  readonly method?: 'GET' | 'PUT' | 'POST' | 'DELETE';
  readonly query?: Query;
  readonly body?: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeout_ms?: number;
  /** Answered to everybody: nothing is shown of who asks. */
  readonly isOpen?: boolean;
  /** Statuses that are an answer and no error. */
  readonly accepts?: readonly number[];
}

const TIMEOUT_MS = 10_000;
/** How long a write waits to be final unless the caller says otherwise. */
const FINAL_TIMEOUT_MS = 10_000;
/** How long a receipt is asked for: an idle cut and a round of votes take two seconds. */
const RECEIPT_TIMEOUT_MS = 15_000;
/** Over the time that the node itself waits. */
const MARGIN_MS = 5000;
const POLL_MS_MIN = 10;
const POLL_MS_MAX = 250;
/** Between two streams. */
const AGAIN_MS = 1000;

/**
 * A client of one node's HTTP API. Throws `ApiError` with the code that the node sent,
 * `node_unreachable`, `node_timeout`, or `not_x0t` where something else answers. Nothing is
 * retried but what a node refused as signed too early (`signedAgain`).
 */
export class Client {
  readonly url: string;
  readonly #timeout_ms: number;
  readonly #signal: AbortSignal | undefined;
  readonly #auth: ClientAuth | undefined;
  readonly #secureFetch: DirectFetch | undefined;

  constructor(url: string, options: ClientOptions = {}) {
    const { timeout_ms = TIMEOUT_MS, signal, auth, secureFetch } = options;
    this.url = baseOf(url);
    this.#timeout_ms = timeout_ms;
    this.#signal = signal;
    this.#auth = auth;
    this.#secureFetch = secureFetch;
  }

  status(): Promise<NodeStatus> {
    return this.#json('/v1/status');
  }

  /** Whether the node serves requests, and what it waits for. */
  ready(): Promise<Readiness> {
    return this.#json('/readyz', { accepts: [503], isOpen: true });
  }

  members(): Promise<MembersJson> {
    return this.#json('/v1/members');
  }

  /** Throws `identity_inactive` in a network without identities on its ledger. */
  identities(): Promise<IdentitiesJson> {
    return this.#json('/v1/identity');
  }

  /** The bundle of the network's trust domain, a SPIFFE bundle document (JSON). */
  async identityBundle(): Promise<Uint8Array> {
    return (await this.#send('/v1/identity/bundle', {})).bytes();
  }

  /** Throws `no_such_member`. */
  member(actor: string): Promise<MemberJson> {
    return this.#json(`/v1/members/${encodeURIComponent(actor)}`);
  }

  invites(): Promise<InvitesJson> {
    return this.#json('/v1/invites');
  }

  /** The genesis object, DAG-CBOR. */
  async genesis(): Promise<Uint8Array> {
    return (await this.#send('/v1/genesis', {})).bytes();
  }

  /** Throws `no_such_route` in a network without posture on its ledger. */
  posture(): Promise<PostureJson> {
    return this.#json('/v1/posture');
  }

  /** Throws `no_such_route` in a network without policies on its ledger, as do the next ones. */
  policies(): Promise<PoliciesJson> {
    return this.#json('/v1/policy');
  }

  policyHistory(): Promise<PolicyHistoryJson> {
    return this.#json('/v1/policy/history');
  }

  explainPolicy(query: Query): Promise<ExplainedJson> {
    return this.#json('/v1/policy/explain', { query });
  }

  policyDecisions(query: Query): Promise<DecisionsJson> {
    return this.#json('/v1/policy/decisions', { query });
  }

  /** The node authors the event. */
  putKv(
    key: string,
    value: Uint8Array,
    type?: string,
    options: WriteOptions = {},
  ): Promise<Written> {
    const headers = { 'content-type': type ?? 'application/octet-stream' };
    return this.#write(key, { method: 'PUT', body: value, headers }, options);
  }

  /** The node authors the event. */
  deleteKv(key: string, options: WriteOptions = {}): Promise<Written> {
    return this.#write(key, { method: 'DELETE' }, options);
  }

  /** Throws `no_such_key`. */
  getKv(key: string, level: Level = 'final'): Promise<KvJson & ReadEnvelope> {
    return this.#json(keyPath(key), { query: { level }, headers: { accept: 'application/json' } });
  }

  listKv(query: {
    prefix?: string;
    after?: string;
    limit?: number;
    level?: Level;
  }): Promise<KvPage> {
    return this.#json('/v1/kv', { query });
  }

  /** Hands over an event that was signed here. */
  submit(entry: Uint8Array, coseKey: Uint8Array): Promise<Written> {
    const headers = { 'content-type': 'application/cbor' };
    const body = submissionOf({ bytes: entry }, coseKey);
    return this.#json('/v1/events', { method: 'POST', body, headers });
  }

  /** Throws `no_such_event`. */
  event(id: string): Promise<EventJson> {
    return this.#json(`/v1/events/${encodeURIComponent(id)}`);
  }

  /** The receipt of a final event, DAG-CBOR; throws `not_final` or `not_certified`. */
  async receipt(id: string): Promise<Uint8Array> {
    return (await this.#send(`/v1/events/${encodeURIComponent(id)}/receipt`, {})).bytes();
  }

  /** Asks for a receipt until a certificate covers the event. */
  async waitReceipt(id: string, timeout_ms = RECEIPT_TIMEOUT_MS): Promise<Uint8Array> {
    const end_ms = performance.now() + timeout_ms;
    for (;;) {
      try {
        return await this.receipt(id);
      } catch (error) {
        const isEarly = ['not_final', 'not_certified'].includes(codeOf(error));
        if (!isEarly || performance.now() > end_ms) throw error;
      }
      await sleep(POLL_MS_MAX);
    }
  }

  /** The newest certificate, or that over exactly `size` events, DAG-CBOR. */
  async certificate(size?: number): Promise<Uint8Array> {
    const headers = { accept: 'application/cbor' };
    return (await this.#send(`/v1/checkpoints/${size ?? 'latest'}`, { headers })).bytes();
  }

  /** The newest certified checkpoint. */
  checkpoint(): Promise<CheckpointJson> {
    return this.#json('/v1/checkpoints/latest', { headers: { accept: 'application/json' } });
  }

  /** The proof that the certified log of `to` events begins with that of `from`, DAG-CBOR. */
  async consistency(from: number, to: number): Promise<Uint8Array> {
    return (await this.#send(`/v1/checkpoints/${to}/consistency`, { query: { from } })).bytes();
  }

  /** Asks for an event until it is final; throws `final_timeout`. */
  async waitFinal(id: string, timeout_ms = FINAL_TIMEOUT_MS): Promise<EventJson> {
    const end_ms = performance.now() + timeout_ms;
    for (let pause_ms = POLL_MS_MIN; ; pause_ms = Math.min(POLL_MS_MAX, pause_ms * 1.5)) {
      const event = await this.#eventOrNone(id);
      if (event?.state === 'final') return event;
      if (performance.now() > end_ms) {
        fail('final_timeout', 'Not final in time, see `npx x0t status`: ask again by its id.', {
          id,
          timeout_ms,
        });
      }
      await sleep(pause_ms);
    }
  }

  /**
   * Between its order and its commit's write a node may show an event neither as accepted nor as
   * final.
   */
  async #eventOrNone(id: string): Promise<EventJson | undefined> {
    try {
      return await this.event(id);
    } catch (error) {
      if (codeOf(error) === 'no_such_event') return undefined;
      throw error;
    }
  }

  log(query: { from?: number; limit?: number } = {}): Promise<LogPage> {
    return this.#json('/v1/log', { query });
  }

  /**
   * Final events as they come, from a number on or from the present end; ends with `signal` or with
   * the node. Where a proof of either side has ended on an open stream, it is gone on with by a new
   * one, from the same place.
   */
  async *follow(from: number | undefined, signal?: AbortSignal): AsyncIterable<EventJson> {
    const headers = { accept: 'text/event-stream' };
    let next = from;
    for (let isOpen = false; ; isOpen = false) {
      try {
        const request = { query: { from: next }, headers };
        const response = await this.#send('/v1/log/stream', request, signal ?? null);
        if (!response.body) return;
        isOpen = true;
        for await (const { id, data } of messagesOf(response.body)) {
          if (id !== undefined) next = id + 1;
          if (data !== undefined) yield JSON.parse(data) as EventJson;
        }
        return;
      } catch (error) {
        if (signal?.aborted) return;
        if (!isOpen || codeOf(error) !== 'svid_expired') throw unreachable(this.url, error);
      }
      await sleep(AGAIN_MS, undefined, signal && { signal }).catch(() => undefined);
    }
  }

  #write(key: string, request: Request, options: WriteOptions): Promise<Written> {
    const { isFinal = false, timeout_ms = FINAL_TIMEOUT_MS, ifSeq } = options;
    const query = { ifSeq, ...(isFinal && { wait: 'final', timeout_ms }) };
    const limit = isFinal ? { timeout_ms: timeout_ms + MARGIN_MS } : {};
    return this.#json(keyPath(key), { ...request, query, ...limit });
  }

  async #json<T>(path: string, request: Request = {}): Promise<T> {
    const response = await this.#send(path, request);
    try {
      return (await response.json()) as T;
    } catch (cause) {
      if (cause instanceof X0tError) throw cause;
      throw foreign(this.url, response.status, cause);
    }
  }

  /** Ends with `limit`; without it when it takes too long, with `null` never. */
  async #send(path: string, request: Request, limit?: AbortSignal | null): Promise<Response> {
    const { method = 'GET', query = {}, body, headers = {}, isOpen = false } = request;
    const url = new URL(this.url + path);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, `${value}`);
    }
    const fetched = this.#fetchFor(url);
    const auth = isOpen ? undefined : this.#auth;
    const sign = async () => (await auth?.({ method, url, headers, body })) ?? headers;
    const send = async (proved: DirectRequest['headers']): Promise<Response> => {
      const timeout = () => AbortSignal.timeout(request.timeout_ms ?? this.#timeout_ms);
      const signal = this.#ending(limit === undefined ? timeout() : limit);
      const sent = { method, headers: proved, ...(body && { body }), ...(signal && { signal }) };
      const response = await fetched(url, sent).catch((error: unknown) => {
        throw unreachable(this.url, error);
      });
      if (response.ok || request.accepts?.includes(response.status)) return response;
      throw await errorOf(response, this.url);
    };
    return signedAgain({ method, url, sign, send });
  }

  #ending(limit: AbortSignal | null): AbortSignal | undefined {
    const signals = [limit ?? undefined, this.#signal].filter((one) => one !== undefined);
    return signals.length > 0 ? AbortSignal.any(signals) : undefined;
  }

  #fetchFor(target: URL): DirectFetch {
    if (target.protocol !== 'https:') return isLoopbackUrl(target) ? loopbackFetch : plainFetch;
    const message =
      'Nothing says who is to be believed at an https address: give the bundle of the trust ' +
      'domain with --trust-bundle FILE, or a Workload API.';
    return this.#secureFetch ?? fail('server_trust_missing', message, { url: this.url });
  }
}

/** By way of the proxy, where the environment names one. */
function plainFetch(url: URL, { headers, body, ...rest }: DirectRequest): Promise<Response> {
  return fetch(url, {
    ...rest,
    headers: { ...headers },
    redirect: 'error',
    ...(body && { body: body as Uint8Array<ArrayBuffer> }),
  });
}

function baseOf(url: string): string {
  const parsed = URL.parse(url);
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    fail('url_invalid', "The node's address is a URL such as http://127.0.0.1:8420.", { url });
  }
  return parsed.href.replace(/\/+$/, '');
}

function keyPath(key: string): string {
  if (key === '.' || key === '..') {
    fail(
      'key_no_path',
      'No URL can name this key: list it by its prefix, or sign the event here.',
      { key },
    );
  }
  return `/v1/kv/${encodeURIComponent(key)}`;
}
