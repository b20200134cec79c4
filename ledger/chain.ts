import { Committee } from './committee.ts';
import { chainOf, decodeGenesis } from './genesis.ts';
import type { Genesis } from './genesis.ts';
import type { Id } from './ports.ts';

/** The network that a node belongs to, as far as all its nodes agree on it. */
export interface Chain {
  /** CID of the genesis object. */
  readonly id: Id;
  readonly genesis: Genesis;
  readonly genesisBytes: Uint8Array;
  /** The committee of epoch 0; `Replica.committee` is the present one. */
  readonly committee: Committee;
}

/** Reads a genesis object; throws its coded errors. */
export function openChain(genesisBytes: Uint8Array): Chain {
  const genesis = decodeGenesis(genesisBytes);
  return {
    id: chainOf(genesisBytes),
    genesis,
    genesisBytes,
    committee: new Committee(0, genesis.committee),
  };
}
