/** One node's HTTP API, as far as the scenarios need it (docs/api.md). */

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
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  status(): Promise<Status> {
    return this.#json('/v1/status');
  }

  async isReady(): Promise<boolean> {
    try {
      return (await this.#fetch('/readyz')).ok;
    } catch {
      return false;
    }
  }

  /** Puts a key; resolves when the node has acknowledged that it keeps the event. */
  async put(key: string, value: string, timeout_ms = TIMEOUT_MS): Promise<void> {
    const path = `/v1/kv/${encodeURIComponent(key)}`;
    const response = await this.#fetch(path, { method: 'PUT', body: value }, timeout_ms);
    await this.#expectOk(response, path);
  }

  /** Puts a key and waits until that is final. */
  async putFinal(key: string, value: string, timeout_ms: number): Promise<void> {
    const path = `/v1/kv/${encodeURIComponent(key)}?wait=final&timeout_ms=${timeout_ms}`;
    const request = { method: 'PUT', body: value };
    await this.#expectOk(await this.#fetch(path, request, timeout_ms + TIMEOUT_MS), path);
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
    const text = await (await this.#fetch('/metrics')).text();
    const lines = [...text.matchAll(/^([a-z0-9_]+) ([0-9.e+-]+)$/gm)];
    return new Map(lines.map(([, name = '', value]) => [name, Number(value)]));
  }

  async #json<T>(path: string): Promise<T> {
    const response = await this.#fetch(path);
    await this.#expectOk(response, path);
    return (await response.json()) as T;
  }

  async #expectOk(response: Response, path: string): Promise<void> {
    if (response.ok) return;
    throw new Error(`${this.url}${path}: ${response.status} ${await response.text()}`);
  }

  #fetch(path: string, request: RequestInit = {}, timeout_ms = TIMEOUT_MS): Promise<Response> {
    return fetch(this.url + path, { ...request, signal: AbortSignal.timeout(timeout_ms) });
  }
}

interface KvPage {
  readonly entries: readonly { readonly key: string; readonly value: string }[];
  readonly next?: string;
}
