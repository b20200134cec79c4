/**
 * Jobs for another thread in one buffer: copying 16 jobs costs some 20 µs, cloning 48 arrays many
 * times that. Layout, in the machine's byte order: u32 count, u32 message length of each, then per
 * job key, signature, message. Jobs that cannot be valid travel as a mark without bytes.
 */
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from '#ledger/limits.ts';
import type { SignatureJob } from '#ledger/ports.ts';
import { plausible } from './engine.ts';

/** Stands for the message length of a job whose lengths already make it invalid. */
const INVALID = 0xffffffff;
const U32_BYTES = 4;

/** A fresh buffer, to be transferred. */
export function packJobs(jobs: readonly SignatureJob[]): ArrayBuffer {
  const headerBytes = U32_BYTES * (1 + jobs.length);
  let size = headerBytes;
  for (const job of jobs) {
    if (plausible(job)) size += PUBLIC_KEY_BYTES + SIGNATURE_BYTES + job.message.length;
  }
  const packed = new ArrayBuffer(size);
  const header = new Uint32Array(packed, 0, 1 + jobs.length);
  const body = new Uint8Array(packed);
  header[0] = jobs.length;
  let at = headerBytes;
  for (const [index, job] of jobs.entries()) {
    const isPlausible = plausible(job);
    header[1 + index] = isPlausible ? job.message.length : INVALID;
    if (!isPlausible) continue;
    body.set(job.publicKey, at);
    body.set(job.signature, at + PUBLIC_KEY_BYTES);
    body.set(job.message, at + PUBLIC_KEY_BYTES + SIGNATURE_BYTES);
    at += PUBLIC_KEY_BYTES + SIGNATURE_BYTES + job.message.length;
  }
  return packed;
}

/** The jobs in order, as views into the buffer; `undefined` for one that was marked invalid. */
export function* unpackJobs(packed: ArrayBuffer): Generator<SignatureJob | undefined> {
  const count = new Uint32Array(packed, 0, 1)[0] ?? 0;
  const lengths = new Uint32Array(packed, U32_BYTES, count);
  let at = U32_BYTES * (1 + count);
  for (const length of lengths) {
    if (length === INVALID) {
      yield undefined;
      continue;
    }
    const publicKey = new Uint8Array(packed, at, PUBLIC_KEY_BYTES);
    const signature = new Uint8Array(packed, at + PUBLIC_KEY_BYTES, SIGNATURE_BYTES);
    const message = new Uint8Array(packed, at + PUBLIC_KEY_BYTES + SIGNATURE_BYTES, length);
    at += PUBLIC_KEY_BYTES + SIGNATURE_BYTES + length;
    yield { publicKey, signature, message };
  }
}
