import { decodeRequest, decodeRows, encodeRows } from '#ledger/snapshot/format.ts';
import type { Protocol } from '#ledger/ports.ts';
import type { SimNode } from './sim-cluster.ts';

/** What a peer sends instead of a frame; nothing leaves it out. */
type Change = (frame: Uint8Array, part: string, index: number) => Uint8Array | undefined;

/** Lets a node send other frames than it should on a protocol. */
export function lie({ network }: SimNode, protocol: Protocol, change: Change): void {
  const honest = network.handlerOf(protocol);
  if (!honest) throw new Error(`${protocol} is not served`);
  network.serve(protocol, async function* lying(message, from) {
    const part = protocol === 'snapshot' ? decodeRequest(message).part : '';
    let index = 0;
    for await (const frame of honest(message, from)) {
      const changed = change(frame, part, index);
      index += 1;
      if (changed) yield changed;
    }
  });
}

/** One byte is another, counted from the end where `at` is negative. */
export function flipped(frame: Uint8Array, at: number): Uint8Array {
  const changed = frame.slice();
  const place = at < 0 ? frame.length + at : at;
  changed[place] = (changed[place] ?? 0) ^ 1;
  return changed;
}

/** Lies about a snapshot, by name. */
export const LIES: Readonly<Record<string, Change>> = {
  'a wrong row': (frame, part) => {
    if (part !== 'rows') return frame;
    const rows = decodeRows(frame);
    const [key, value] = rows.pop() as [string, Uint8Array];
    return encodeRows([...rows, [key, flipped(value, -1)]]);
  },
  'a missing row': (frame, part) => {
    return part === 'rows' ? encodeRows(decodeRows(frame).slice(1)) : frame;
  },
  'a row too many': (frame, part) => {
    const extra = ['s/kv/zz', Uint8Array.of(1)] as const;
    if (part !== 'rows') return frame;
    const rows = [...decodeRows(frame), extra];
    return encodeRows(rows.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  },
  'no rows at all': (frame, part) => (part === 'rows' ? undefined : frame),
  'a wrong leaf': (frame, part) => (part === 'leaves' ? flipped(frame, 7) : frame),
  'leaves cut short': (frame, part) => (part === 'leaves' ? frame.subarray(0, -34) : frame),
  'a forged certificate': (frame, part, index) => {
    return part === 'offer' && index === 0 ? flipped(frame, 700) : frame;
  },
  'a wrong commit': (frame, part, index) => {
    return part === 'offer' && index === 1 ? flipped(frame, -1) : frame;
  },
  'no commits': (frame, part, index) => (part === 'offer' && index > 0 ? undefined : frame),
};
