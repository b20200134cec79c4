/**
 * One node's HTTP API, as far as the scenarios need it (docs/api.md). Requests are signed by an
 * operator, for the name by which the node knows itself: the port that the engine maps to it on
 * this machine is none of its names, and a request from there does not come from its own machine.
 */
import { request as send } from 'node:http';
import { signedHeaders } from './sign.ts';
import type { RequestKey } from './sign.ts';

const TIMEOUT_MS = 5000;
const PAGE = 1000;

export interface Status {
  readonly name: string;
  readonly role: string;
  readonly actor: string;
  readonly epoch: number;
  readonly n: number;
  readonly commits: number;
  readonly finalSeq: number;
  readonly summaryHash: string;
  readonly pending: number;
  readonly peers: number;
  readonly quorumReachable: boolean;
  readonly alarms: readonly { readonly code: string; readonly message: string }[];
}

export class Api {
  /** Where it is reached. */
  readonly url: string;
  /** The authority that it knows itself by. */
  readonly #name: string;
  readonly #key: RequestKey;

  constructor(url: string, name: string, key: RequestKey) {
    this.url = url;
    this.#name = name;
    this.#key = key;
  }

  status(): Promise<Status> {
    return this.#json('/v1/status');
  }

  async isReady(): Promise<boolean> {
    try {
      return (await this.#ask('GET', '/readyz')).status === 200;
    } catch {
      return false;
    }
  }

  /** Puts a key; resolves when the node has acknowledged that it keeps the event. */
  async put(key: string, value: string, timeout_ms = TIMEOUT_MS): Promise<void> {
    const path = `/v1/kv/${encodeURIComponent(key)}`;
    this.#expectOk(await this.#ask('PUT', path, value, timeout_ms), path);
  }

  /** Puts a key and waits until that is final. */
  async putFinal(key: string, value: string, timeout_ms: number): Promise<void> {
    const path = `/v1/kv/${encodeURIComponent(key)}?wait=final&timeout_ms=${timeout_ms}`;
    this.#expectOk(await this.#ask('PUT', path, value, timeout_ms + TIMEOUT_MS), path);
  }

  /** All final keys with a prefix, and their values. */
  async keys(prefix: string): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    for (let after = ''; ; ) {
      const query = new URLSearchParams({ prefix, limit: `${PAGE}`, level: 'final' });
      if (after !== '') query.set('after', after);
      const page = await this.#json<KvPage>(`/v1/kv?${query.toString()}`);
      for (const { key, value } of page.entries) {
        found.set(key, Buffer.from(value, 'base64').toString());
      }
      if (page.next === undefined) return found;
      after = page.next;
    }
  }

  /** Metrics without labels, by name. */
  async metrics(): Promise<Map<string, number>> {
    const answer = await this.#ask('GET', '/metrics');
    this.#expectOk(answer, '/metrics');
    const { text } = answer;
    const lines = [...text.matchAll(/^([a-z0-9_]+) ([0-9.e+-]+)$/gm)];
    return new Map(lines.map(([, name = '', value]) => [name, Number(value)]));
  }

  async #json<T>(path: string): Promise<T> {
    const answer = await this.#ask('GET', path);
    this.#expectOk(answer, path);
    return JSON.parse(answer.text) as T;
  }

  #expectOk({ status, text }: Answer, path: string): void {
    if (status >= 200 && status < 300) return;
    throw new Error(`${this.url}${path}: ${status} ${text}`);
  }

  async #ask(
    method: 'GET' | 'PUT',
    path: string,
    body?: string,
    timeout_ms = TIMEOUT_MS,
  ): Promise<Answer> {
    const named = new URL(`http://${this.#name}${path}`);
    const headers = signedHeaders(this.#key, method, named, body, Date.now());
    const signal = AbortSignal.timeout(timeout_ms);
    const options = { method, headers: { ...headers, host: this.#name }, signal, agent: false };
    return new Promise((resolve, reject) => {
      const request = send(this.url + named.pathname + named.search, options, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => (text += part));
        answer.on('error', reject);
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      });
      request.on('error', reject);
      request.end(body);
    });
  }
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

interface KvPage {
  readonly entries: readonly { readonly key: string; readonly value: string }[];
  readonly next?: string;
}
