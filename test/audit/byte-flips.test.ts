import test from 'ava';
import { readBody } from '#ledger/audit/body.ts';
import { CAR_HEADER_BYTES, CID_BYTES } from '#ledger/audit/car-format.ts';
import type { Section } from '#ledger/audit/car-format.ts';
import { SIGN1_BYTES } from '#ledger/cose.ts';
import { decodeEntry } from '#ledger/event.ts';
import { makeNet } from '#test/support/cluster.ts';
import { smallLog } from '#test/support/chain-builder.ts';
import { exportSample } from './support.ts';
import type { Sample } from './support.ts';

/** Whatever byte of an export is changed, the audit fails and names the place. */

const PER_CLASS = 16;
const RANDOM = 32;

const sample = await exportSample(await smallLog(await makeNet(4, 2)));
test.after.always(() => sample.remove());

/** A stretch of the file that belongs to one class, and what the finding must say of it. */
interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly section: Section | undefined;
  readonly part?: string;
  readonly entry?: number;
}

/** Positions spread over all stretches of a class, each with the mask that flips one bit. */
function positions(stretches: readonly Stretch[], count: number) {
  const total = stretches.reduce((sum, { from, to }) => sum + to - from, 0);
  return Array.from({ length: count }, (_, i) => {
    let at = Math.floor(((i + 0.5) * total) / count);
    for (const stretch of stretches) {
      const length = stretch.to - stretch.from;
      if (at < length) return { at: stretch.from + at, mask: 1 << i % 8, stretch };
      at -= length;
    }
    throw new Error('a class without bytes');
  });
}

const of = (...kinds: readonly string[]) =>
  sample.sections.filter(({ kind }) => kinds.includes(kind));

interface BodyPlaces {
  readonly section: Section;
  readonly sign1: Stretch;
  readonly keyLinks: Stretch;
  readonly events: readonly Stretch[];
  readonly signatures: readonly Stretch[];
}

function placesIn(section: Section): BodyPlaces {
  const bytes = sample.bytes.subarray(section.start, section.end);
  const { sign1, keyIds, entries } = readBody(bytes);
  const offsetOf = (part: Uint8Array) => section.start + part.byteOffset - bytes.byteOffset;
  const signEnd = offsetOf(sign1) + SIGN1_BYTES;
  const events: Stretch[] = [];
  const signatures: Stretch[] = [];
  for (const [entry, part] of entries.entries()) {
    const { eventBytes, sign1: signature } = decodeEntry(part);
    const from = offsetOf(eventBytes);
    // A change of an unsigned event shows in the payload's root only.
    const where = signature ? { part: 'entry', entry } : {};
    events.push({ from, to: from + eventBytes.length, section, ...where });
    if (!signature) continue;
    const start = offsetOf(signature);
    signatures.push({ from: start, to: start + SIGN1_BYTES, section, part: 'entry', entry });
  }
  return {
    section,
    sign1: { from: offsetOf(sign1), to: signEnd, section, part: 'blockSignature' },
    keyLinks: { from: signEnd + 1, to: signEnd + 1 + 41 * keyIds.length, section },
    events,
    signatures,
  };
}

const bodies = of('body').map(placesIn);
const content = (section: Section): Stretch => ({ from: section.start, to: section.end, section });

const classes: Readonly<Record<string, readonly Stretch[]>> = {
  'the CAR header': [{ from: 0, to: CAR_HEADER_BYTES, section: undefined }],
  'section lengths': sample.sections.map((section) => ({
    from: section.offset,
    to: section.start - CID_BYTES,
    section,
  })),
  CIDs: sample.sections.map((section) => ({
    from: section.start - CID_BYTES,
    to: section.start,
    section,
  })),
  'event fields': bodies.flatMap(({ events }) => events),
  'the key table': [...of('key').map(content), ...bodies.map(({ keyLinks }) => keyLinks)],
  'event signatures': bodies.flatMap(({ signatures }) => signatures),
  'block headers': of('header').map(content),
  'block signatures': bodies.map(({ sign1 }) => sign1),
  'manifest and genesis': of('manifest', 'genesis').map(content),
};

test('the untouched export passes', async (t) => {
  const report = await sample.audit(sample.bytes);
  t.true(report.ok);
  t.is(report.signatures, 35 + 8);
});

for (const [name, stretches] of Object.entries(classes)) {
  test.serial(`one changed byte in ${name} fails there`, async (t) => {
    for (const { at, mask, stretch } of positions(stretches, PER_CLASS)) {
      const { finding } = await flipped(sample, at, mask);
      const { section, part, entry } = stretch;
      const where = `byte ${at} of ${name}: ${JSON.stringify(finding)}`;
      if (!finding) {
        t.fail(where);
        continue;
      }
      const { place } = finding;
      if (!section) {
        t.is(place.kind, 'car-header', where);
        continue;
      }
      // A root that names another manifest cannot be told from a manifest with another CID.
      if (section.kind === 'manifest' && place.kind === 'car-header') continue;
      t.is(place.section, section.index, where);
      t.is(place.offset, section.offset, where);
      t.is(place.kind, section.kind, where);
      if (part !== undefined) t.is(place.part, part, where);
      if (entry !== undefined) t.is(place.entry, entry, where);
    }
  });
}

test.serial('one changed byte anywhere fails at the section that holds it', async (t) => {
  const all = [{ from: CAR_HEADER_BYTES, to: sample.bytes.length, section: undefined }];
  for (const { at, mask } of positions(all, RANDOM)) {
    const { ok, finding } = await flipped(sample, at, mask);
    const section = sample.sections.find(({ end }) => at < end);
    t.false(ok);
    t.is(finding?.place.section, section?.index, `byte ${at}: ${JSON.stringify(finding)}`);
  }
});

test.serial('a file that is cut or goes on fails at its end', async (t) => {
  const { bytes, sections } = sample;
  const last = sections.at(-1) as Section;
  for (const cut of [1, 1000, bytes.length - last.offset]) {
    const { finding } = await sample.audit(bytes.subarray(0, bytes.length - cut));
    t.is(finding?.code, 'car_truncated', `${cut} bytes cut`);
  }
  const longer = await sample.audit(Buffer.concat([bytes, Uint8Array.of(0)]));
  t.is(longer.finding?.code, 'car_trailing_bytes');
  t.is(longer.finding?.place.offset, bytes.length);
  const { finding } = await sample.audit(bytes.subarray(0, 40));
  t.is(finding?.code, 'car_bad_header');
});

function flipped(from: Sample, at: number, mask: number) {
  const changed = from.bytes.slice();
  changed[at] = (changed[at] as number) ^ mask;
  return from.audit(changed);
}
