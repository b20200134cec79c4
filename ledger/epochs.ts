import type { Chain } from './chain.ts';
import { decode, encode } from './codec.ts';
import { Committee, encodeValidators } from './committee.ts';
import type { Committees } from './committee.ts';
import { fail } from './errors.ts';
import * as field from './fields.ts';
import { decodeValidators } from './genesis.ts';
import { linkOf } from './ids.ts';
import { storeKeys } from './keys.ts';
import type { Id, StoreOp } from './ports.ts';
import type { Readable } from './rows.ts';

/** Committees at hand; older ones are read again. */
const REMEMBERED_MAX = 16;

/** How an epoch from 1 on begins. */
export interface EpochStart {
  readonly committee: Committee;
  /** The certificate of the last checkpoint of the epoch before, as it was received. */
  readonly certificate: Uint8Array;
}

const KNOWN = new Set(['validators', 'base', 'certificate']);

/** The committees of the epochs that this node has entered, kept in its store. */
export class Epochs implements Committees {
  readonly #genesis: Committee;
  readonly #store: Readable;
  readonly #known = new Map<number, Committee>();

  constructor(chain: Pick<Chain, 'committee'>, store: Readable) {
    this.#genesis = chain.committee;
    this.#store = store;
  }

  /** The committee of an epoch that was entered; `undefined` for a later one. */
  ofEpoch(epoch: number): Committee | undefined {
    if (epoch === 0) return this.#genesis;
    const known = this.#known.get(epoch);
    if (known) return known;
    const start = this.startOf(epoch);
    if (start) this.#remember(start.committee);
    return start?.committee;
  }

  /** As `ofEpoch` for what the store must have; throws `store_corrupt`. */
  need(epoch: number): Committee {
    return (
      this.ofEpoch(epoch) ??
      fail('store_corrupt', 'The store has lost how an epoch began: take a copy from a peer.', {
        epoch,
      })
    );
  }

  /** How an epoch began; `undefined` for epoch 0 and those that were not entered. */
  startOf(epoch: number): EpochStart | undefined {
    const row = this.#store.get(storeKeys.epoch(epoch));
    return row && decodeEpochStart(epoch, row);
  }

  /** Takes up an epoch that is about to be entered; the operation keeps it. */
  enter({ committee, certificate }: EpochStart): StoreOp {
    this.#remember(committee);
    const { epoch, validators, base } = committee;
    const value = encode({
      validators: encodeValidators(validators),
      base: linkOf(base as Id),
      certificate,
    });
    return { type: 'put', key: storeKeys.epoch(epoch), value };
  }

  #remember(committee: Committee): void {
    if (this.#known.size >= REMEMBERED_MAX) {
      const [oldest = 0] = this.#known.keys();
      this.#known.delete(oldest);
    }
    this.#known.set(committee.epoch, committee);
  }
}

/** Reads a row of `Epochs`; throws coded errors. */
export function decodeEpochStart(epoch: number, row: Uint8Array): EpochStart {
  const fields = field.fieldsOf(decode(row), KNOWN, 'start of an epoch');
  const validators = decodeValidators(fields['validators']);
  return {
    committee: new Committee(epoch, validators, field.linkOfField(fields, 'base')),
    certificate: field.bytesOfField(fields, 'certificate', Number.MAX_SAFE_INTEGER),
  };
}
