import { systemClock as clock, systemEntropy as entropy } from '#node/system.ts';
import type { Id } from '#ledger/ports.ts';
import type { IdentityLedger } from '#node/identity/service.ts';
import { Authority } from '#node/identity/authority.ts';
import { isOfIdentity, mayIssue } from '#node/identity/may-issue.ts';
import { identity, readIdentity, trustDomainOf } from '#projections/identity.ts';
import { kv } from '#projections/kv.ts';
import { members } from '#projections/members.ts';
import { posture } from '#projections/posture.ts';
import { parseTrustDomain } from '#projections/spiffe-id.ts';
import { HandFold, net, put } from '#test/ledger/fold-support.ts';

const schema = { projections: [identity, kv, members, posture], members, posture };

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
  readonly #listeners = new Set<(isChanged: boolean) => void>();
  #seq = 0;

  /** `ts_ms`: the commit's time. */
  say(actor: Id, kind: string, body: object, ts_ms = Date.now()): void {
    const event = put(actor, ++this.#seq, '', { kind, body: body as never });
    this.verdicts.push(...this.hand.verdicts([event], ts_ms));
    this.tell(isOfIdentity(kind));
  }

  tell(isChanged: boolean): void {
    for (const listener of this.#listeners) listener(isChanged);
  }

  /** As a node sees it that authors as `actor`. */
  of(actor: Id, wall_ms = Date.now): IdentityLedger {
    return {
      mayIssue: (one) => mayIssue(this.hand.fold.reducer, one, wall_ms()),
      finals: () => this.hand.fold.size,
      view: () => readIdentity(this.hand.fold.reducer.rowsOf('identity')),
      onChange: (listener) => {
        this.#listeners.add(listener);
        return () => void this.#listeners.delete(listener);
      },
      author: (kind, body) => Promise.resolve(this.say(actor, kind, body)),
    };
  }
}

/** What a node would publish, with a good key unless another certificate or id is wished for. */
export async function authorityBody(
  wish: { readonly x509?: Uint8Array; readonly kid?: string; readonly x?: Uint8Array } = {},
) {
  const made = await Authority.make(parseTrustDomain(domain), { clock, entropy });
  const { x509, jwt } = made.published;
  const [x, y] = [jwt.jwk.x, jwt.jwk.y].map((one) => {
    return Uint8Array.from(Buffer.from(one ?? '', 'base64url'));
  });
  return {
    x509: wish.x509 ?? x509.der,
    jwt: { kid: wish.kid ?? jwt.kid, x: wish.x ?? x, y },
    notAfter_ms: Date.now() + 3_600_000,
  };
}
