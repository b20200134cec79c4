import type { Id } from '#ledger/ports.ts';
import type { IdentityLedger } from '#node/identity/service.ts';
import { identity, readIdentity, trustDomainOf } from '#projections/identity.ts';
import { kv } from '#projections/kv.ts';
import { members } from '#projections/members.ts';
import { HandFold, net, put } from '#test/ledger/fold-support.ts';

const schema = { projections: [identity, kv, members], members };

/** The genesis of a network with identities. */
export const genesis = {
  ...net.chain.genesis,
  kinds: schema.projections.flatMap(({ kinds }) => kinds.map(({ kind }) => kind)).toSorted(),
  projections: schema.projections.map(({ name, version }) => [name, version] as const),
};
export const domain = trustDomainOf(genesis);

/** The final log of one who orders every event at once. */
export class HandLedger {
  readonly hand = new HandFold(undefined, undefined, schema, genesis);
  readonly verdicts: string[] = [];
  readonly #listeners = new Set<() => void>();
  #seq = 0;

  /** `ts_ms`: the commit's time. */
  say(actor: Id, kind: string, body: object, ts_ms = Date.now()): void {
    const event = put(actor, ++this.#seq, '', { kind, body: body as never });
    this.verdicts.push(...this.hand.verdicts([event], ts_ms));
    for (const listener of this.#listeners) listener();
  }

  /** As a node sees it that authors as `actor`. */
  of(actor: Id): IdentityLedger {
    return {
      view: () => readIdentity(this.hand.fold.reducer.rowsOf('identity')),
      onChange: (listener) => {
        this.#listeners.add(listener);
        return () => void this.#listeners.delete(listener);
      },
      author: (kind, body) => Promise.resolve(this.say(actor, kind, body)),
    };
  }
}
