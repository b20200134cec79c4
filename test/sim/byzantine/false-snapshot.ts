import { decodeCertificate } from '#ledger/certificate.ts';
import { prefixRange } from '#ledger/keys.ts';
import {
  LEAF_BYTES,
  decodeHead,
  decodeRequest,
  decodeRows,
  encodeHead,
  encodeRows,
} from '#ledger/snapshot/format.ts';
import type { SnapshotHead, SnapshotRequest } from '#ledger/snapshot/format.ts';
import { LIES } from '#test/support/liars.ts';
import type { Habit } from './habits.ts';
import type { Treason } from './treason.ts';

/** Serves snapshots that are false in all ways; what it offers it has made as honest nodes do. */

type Frames = AsyncIterable<Uint8Array>;
type Lie = (treason: Treason, request: SnapshotRequest, honest: Frames) => Frames;

/** Frames of an endless answer: enough to pass every bound but that on bytes. */
const MANY = 400;

/** Changes what the head of an offer says. */
const ofHead =
  (change: (head: SnapshotHead, treason: Treason) => Partial<SnapshotHead>): Lie =>
  async function* lie(treason, { part }, honest) {
    let index = 0;
    for await (const frame of honest) {
      const isHead = part === 'offer' && index === 0;
      index += 1;
      if (!isHead) {
        yield frame;
        continue;
      }
      const head = decodeHead(frame);
      yield encodeHead({ ...head, ...change(head, treason) });
    }
  };

/** The certificate of another checkpoint than the one that is offered. */
function anotherCertificate(head: SnapshotHead, treason: Treason): Partial<SnapshotHead> {
  const found = treason
    .storedIn(prefixRange('h/cert/'))
    .map(decodeCertificate)
    .filter(({ checkpoint }) => checkpoint.id !== head.certificate.checkpoint.id);
  return found.length > 0 ? { certificate: treason.random.pick(found) } : {};
}

/** Nothing more after half of an answer; or no end of it, without another frame. */
const broken = (isSilent: boolean): Lie =>
  async function* lie({ random }, _request, honest) {
    for await (const frame of honest) {
      if (random.chance(0.5)) break;
      yield frame;
    }
    if (isSilent) await new Promise(() => undefined);
  };

/** The same frames again and again. */
const endless: Lie = async function* lie(_treason, _request, honest) {
  const frames: Uint8Array[] = [];
  for await (const frame of honest) frames.push(frame);
  for (let i = 0; i < MANY && frames.length > 0; i++) yield* frames.slice(0, 4);
};

/** Leaves and rows of another place in the log than was asked for. */
const elsewhere: Lie = async function* lie(treason, request, honest) {
  for await (const frame of honest) {
    if (request.part === 'leaves') {
      const leaf = frame.subarray(0, LEAF_BYTES);
      yield Buffer.concat([frame.subarray(LEAF_BYTES), leaf]);
    } else if (request.part === 'rows') {
      // the state as it is now, and not as it was
      const rows = decodeRows(frame).map(([key, value]) => {
        return [key, treason.stored(key) ?? value] as const;
      });
      yield encodeRows(rows);
    } else yield frame;
  }
};

/** A lie that `liars.ts` tells of one frame after the other. */
const small = (name: string): Lie => {
  const change = LIES[name];
  return async function* lie(_treason, { part }, honest) {
    let index = 0;
    for await (const frame of honest) {
      const changed = change?.(frame, part, index);
      index += 1;
      if (changed) yield changed;
    }
  };
};

const ANYWHERE: readonly Lie[] = [broken(false), broken(true), endless];

/** Lies by the part that is asked for. */
const OF_PART: Readonly<Record<SnapshotRequest['part'], readonly Lie[]>> = {
  offer: [
    ofHead(({ chunks }) => ({ chunks: chunks + 1 })),
    ofHead(({ chunks }) => ({ chunks: Math.max(0, chunks - 1) })),
    ofHead(({ rows }) => ({ rows: rows + 3 })),
    ofHead(({ rows }) => ({ rows: Math.max(0, rows - 1) })),
    ofHead(({ bytes }) => ({ bytes: Math.floor(bytes / 2) })),
    ofHead(({ base }) => ({ base: base + 16 })),
    ofHead(({ base }) => ({ base: 0, peaks: base === 0 ? [new Uint8Array(32)] : [] })),
    ofHead(anotherCertificate),
    ofHead(() => ({ before: undefined })),
    small('a forged certificate'),
    small('a wrong commit'),
    small('no commits'),
    ...ANYWHERE,
  ],
  leaves: [small('a wrong leaf'), small('leaves cut short'), elsewhere, ...ANYWHERE],
  rows: [
    small('a wrong row'),
    small('a missing row'),
    small('a row too many'),
    small('no rows at all'),
    elsewhere,
    ...ANYWHERE,
  ],
};

/** The later a lie comes, the more is taken before it: mostly the end is false. */
const SHARES: Readonly<Record<SnapshotRequest['part'], number>> = {
  offer: 0.25,
  leaves: 0.3,
  rows: 0.85,
};

export const falseSnapshot: Habit = {
  answer(treason, protocol, message, _from, honest) {
    if (protocol !== 'snapshot') return undefined;
    const { random } = treason;
    const request = decodeRequest(message);
    if (!random.chance(SHARES[request.part])) return undefined;
    return random.pick(OF_PART[request.part])(treason, request, honest());
  },
};
