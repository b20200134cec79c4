/** What the adapter counts, as plain data; `node/` turns it into metrics. */

/** Every counter with the meaning of its label. */
export const COUNTERS = {
  gossip_in_total: 'topic and verdict of a received message, e.g. `block accept`',
  gossip_out_total: 'topic of a published message',
  gossip_in_bytes_total: 'topic',
  gossip_out_bytes_total: 'topic; bytes handed over once, not per peer',
  gossip_reset_total:
    '`nudged`: a lost gossip stream was opened again, `redial`: its connection was closed',
  requests_sent_total: 'protocol and outcome, e.g. `blocks ok` or `blocks request_timeout`',
  requests_served_total: 'protocol and outcome',
  request_in_bytes_total: 'protocol; response bytes received',
  request_out_bytes_total: 'protocol; response bytes sent',
  penalties_total: 'error code',
  bans_total: 'the code that led to it',
  hellos_total: '`ok` or the code that ended it',
  joins_total: '`ok` or the code of a refused request to join',
  dials_total: '`ok` or the name of the failure',
  disconnects_total:
    'why this node closed: `dead`, `blocked`, `banned`, `gossip`, `duplicate`, `hello`, ' +
    '`access`, `join`; or `peer`',
} as const;

export type CounterName = keyof typeof COUNTERS;
export type CounterValues = Readonly<Record<CounterName, Readonly<Record<string, number>>>>;

/** Labels of one counter; further ones are counted as `other`. */
const LABELS_MAX = 128;

export class Counters {
  readonly #values = new Map<CounterName, Map<string, number>>();

  add(name: CounterName, label: string, by = 1): void {
    let labels = this.#values.get(name);
    if (labels === undefined) this.#values.set(name, (labels = new Map()));
    const key = labels.has(label) || labels.size < LABELS_MAX ? label : 'other';
    labels.set(key, (labels.get(key) ?? 0) + by);
  }

  snapshot(): CounterValues {
    const entries = Object.keys(COUNTERS).map((name) => {
      return [name, Object.fromEntries(this.#values.get(name as CounterName) ?? [])] as const;
    });
    return Object.fromEntries(entries) as unknown as CounterValues;
  }
}
