import type { Mutant } from './table.ts';

/** Bugs of voting on checkpoints, of certificates, and of the tree of the log. */
export const CHECKPOINT_MUTANTS: readonly Mutant[] = [
  {
    name: 'vote-first',
    about: 'a vote on a checkpoint is sent before it is kept',
    edits: [
      {
        file: 'ledger/certifier.ts',
        find: '    const before = await this.store.claim(checkpoint);\n',
        replace:
          '    const early = await signCheckpoint(checkpoint, author, this.#self.signer);\n' +
          '    this.#host.publish(encodeVote(early));\n' +
          '    const before = await this.store.claim(checkpoint);\n',
      },
    ],
  },
  {
    name: 'signer-twice',
    about: 'a signer counts as often as it stands in a certificate',
    edits: [
      {
        file: 'ledger/certificate.ts',
        find: 'if (author <= previous || author >= committee.size',
        replace: 'if (author < previous || author >= committee.size',
      },
    ],
  },
  {
    name: 'unchecked-certificate',
    about: 'certificates of peers are taken without a look at their signatures',
    edits: [
      {
        file: 'ledger/certifier.ts',
        find: '    await verifyCertificate(certificate, committee, this.#ports.verifier);\n',
        replace: '    void verifyCertificate;\n',
      },
    ],
  },
  {
    name: 'unchecked-vote',
    about: 'votes are counted whatever their signature is',
    edits: [
      {
        file: 'ledger/certifier.ts',
        find: "      if (isValid !== true) {\n        const { size } = checkpoint;",
        replace: "      if (isValid === undefined) {\n        const { size } = checkpoint;",
      },
    ],
  },
  {
    name: 'small-certificate',
    about: 'f + 1 votes make a certificate',
    edits: [
      {
        file: 'ledger/certificate.ts',
        find: '    if (stake >= committee.quorum) {\n      return { checkpoint',
        replace: '    if (stake >= committee.validity) {\n      return { checkpoint',
      },
    ],
  },
  {
    name: 'one-halts',
    about: 'one validator that signs another checkpoint halts the others',
    edits: [
      {
        file: 'ledger/divergence.ts',
        find: 'if (tally.checkpoint.id === own.id || stake < committee.validity) continue;',
        replace: 'if (tally.checkpoint.id === own.id || stake < 1) continue;',
      },
    ],
  },
  {
    name: 'no-halt',
    about: 'a node that stands apart goes on making events final',
    edits: [
      {
        file: 'ledger/divergence.ts',
        find: '    this.#diverged = { epoch, size, cut, own: own.id, theirs };\n' +
          '    this.#parts.haltFinality();\n',
        replace: '    this.#diverged = { epoch, size, cut, own: own.id, theirs };\n',
      },
    ],
  },
  {
    name: 'halt-forgotten',
    about: 'a node that stands apart forgets it over a restart',
    edits: [
      {
        file: 'ledger/divergence.ts',
        find: '    this.#diverged = held;\n',
        replace: '    held = undefined;\n',
      },
    ],
  },
  {
    name: 'votes-not-asked',
    about: 'votes that were lost are never asked for',
    edits: [
      {
        file: 'ledger/sync/checkpoint-sync.ts',
        find: 'if (chosen) void this.ask(chosen.peer);',
        replace: 'void chosen;',
      },
    ],
  },
  {
    name: 'idle-chained',
    about: 'the next periodic checkpoint is chained to an idle one, which some nodes never cut',
    edits: [
      {
        file: 'ledger/cuts.ts',
        find: "    const checkpoint = this.#make('idle', decodeCommit(commit), state);\n",
        replace:
          "    const checkpoint = this.#make('idle', decodeCommit(commit), state);\n" +
          '    this.#last = { ...this.#last, prev: checkpoint.id };\n',
      },
    ],
  },
  {
    name: 'leaf-domain',
    about: 'leaves and nodes of the tree are hashed alike',
    edits: [
      {
        file: 'ledger/merkle.ts',
        find: '  return sha256(prefixed.subarray(0, leaf.length + 1));',
        replace: '  return sha256(prefixed.subarray(1, leaf.length + 1));',
      },
    ],
  },
  {
    name: 'leaf-verdict',
    about: 'the leaf of an event does not say its verdict',
    edits: [
      {
        file: 'ledger/log-tree.ts',
        find: '  new DataView(leaf.buffer).setUint16(32, verdict);\n',
        replace: '  void verdict;\n',
      },
    ],
  },
  {
    name: 'power-of-two',
    about: 'a consistency proof from half of a tree goes the wrong way',
    edits: [
      {
        file: 'ledger/merkle-proof.ts',
        find: '    if (from <= middle) {',
        replace: '    if (from < middle) {',
      },
    ],
  },
  {
    name: 'path-off-by-one',
    about: 'the path of the first leaf of a right half goes to the left',
    edits: [
      {
        file: 'ledger/merkle-proof.ts',
        find: '    if (index < middle) {',
        replace: '    if (index <= middle) {',
      },
    ],
  },
  {
    name: 'known-root',
    about: 'a consistency proof repeats the root that its reader knows',
    edits: [
      {
        file: 'ledger/merkle-proof.ts',
        find: '  if (start > 0) path.push(subtree(start, end));',
        replace: '  path.push(subtree(start, end));',
      },
    ],
  },
  {
    name: 'state-left-out',
    about: 'a rebuild or a bug in a projection does not show in the state root',
    edits: [
      {
        file: 'ledger/fold.ts',
        find: 'stateRoot: stateRootOf(projections, this.#hash(REPLAY).root()),',
        replace: 'stateRoot: stateRootOf([], this.#hash(REPLAY).root()),',
      },
    ],
  },
];
