import type { Mutant } from './table.ts';

/** Deliberate bugs of keys that change. */
export const KEY_MUTANTS: readonly Mutant[] = [
  {
    name: 'old-key-counts',
    about: 'what a key signs still counts after its rotation',
    edits: [
      {
        file: 'ledger/reducer.ts',
        find: "    if (this.keyState(event) === 'retired') return 'key_retired';\n",
        replace: '',
      },
    ],
  },
  {
    name: 'old-key-seals',
    about: 'a node seals with its first key, whatever the committee names',
    edits: [
      {
        file: 'ledger/replica.ts',
        find: 'const block = await this.#sealer.seal(this.#run, this.pool, key.signer);',
        replace: 'const block = await this.#sealer.seal(this.#run, this.pool, this.#self.signer);',
      },
    ],
  },
  {
    name: 'unsettled-bare',
    about: 'bare events of the old key ride in blocks of the new one',
    edits: [
      {
        file: 'ledger/payload.ts',
        find: '    if (!entry.sign1 && signingKeyId(entry.event) !== ownKey) continue;\n',
        replace: '',
      },
      {
        file: 'ledger/epoch-turn.ts',
        find: '    if (keyId === ownKey) {',
        replace: '    if (ownKey !== undefined) {',
      },
    ],
  },
];
