import { codeOf } from '#ledger/errors.ts';
import type { Clock, Entropy, Log } from '#ledger/ports.ts';
import { Authority } from './authority.ts';
import type { PublishedAuthority } from './authority.ts';
import type { IdentityState } from './entries.ts';

export interface KeeperParts {
  readonly state: IdentityState;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  /**
   * Asks for an authority to be put into the trust domain's bundle; may be called again for the
   * same one. It is used only once `state` shows it there.
   */
  readonly publish: (authority: PublishedAuthority) => Promise<void>;
}

/** Published again after so long without being in the bundle. */
const PUBLISH_AGAIN_MS = 10_000;

/**
 * The authorities of this node over time. The next one is made at half the life of the active one
 * and used from five sixths on, so that those who hold the bundle have learnt it long before
 * (Federation, 4.1: published before used). What its clock says is not valid, or what was taken out
 * of the bundle, is replaced at once.
 */
export class AuthorityKeeper {
  readonly #parts: KeeperParts;
  #active: Authority | undefined;
  #next: Authority | undefined;
  #published_ms = 0;
  #isWorking = false;
  /** Code of what went wrong last: said once. */
  #problem: string | undefined;

  constructor(parts: KeeperParts) {
    this.#parts = parts;
  }

  /** The authority to sign with now; `undefined` until its keys are in the bundle. */
  get active(): Authority | undefined {
    const { clock } = this.#parts;
    const active = this.#active;
    if (active && clock.wall_ms() < active.notAfter_ms && this.#isPublished(active)) return active;
    return undefined;
  }

  /** Makes, publishes and activates what is due. Called at the start and from time to time. */
  async look(): Promise<void> {
    if (this.#isWorking) return;
    this.#isWorking = true;
    try {
      await this.#advance();
      this.#problem = undefined;
    } catch (error) {
      const code = codeOf(error);
      if (code !== this.#problem) this.#parts.log.warn({ code }, 'an authority is not published');
      this.#problem = code;
    } finally {
      this.#isWorking = false;
    }
  }

  async #advance(): Promise<void> {
    const { clock, entropy, state } = this.#parts;
    const now_ms = clock.wall_ms();
    if (this.#next && !isValid(this.#next, now_ms)) this.#next = undefined;
    const isGone = this.#active !== undefined && !this.#isPublished(this.#active);
    if (!this.#next && (isGone || isPast(this.#active, now_ms, 1 / 2))) {
      this.#next = await Authority.make(state.current.trustDomain, { clock, entropy });
      this.#published_ms = -Infinity;
    }
    const next = this.#next;
    if (!next) return;
    const isDue = clock.monotonic_ms() >= this.#published_ms + PUBLISH_AGAIN_MS;
    if (!this.#isPublished(next) && isDue) {
      this.#published_ms = clock.monotonic_ms();
      await this.#parts.publish(next.published);
    }
    if (this.#isPublished(next) && (isGone || isPast(this.#active, now_ms, 5 / 6))) {
      this.#active = next;
      this.#next = undefined;
    }
  }

  #isPublished({ published }: Authority): boolean {
    const { x509, jwt } = this.#parts.state.current.bundle;
    return (
      jwt.some(({ kid }) => kid === published.jwt.kid) &&
      x509.some(({ der }) => Buffer.compare(der, published.x509.der) === 0)
    );
  }
}

const isValid = ({ notBefore_ms, notAfter_ms }: Authority, now_ms: number): boolean =>
  now_ms >= notBefore_ms && now_ms < notAfter_ms;

/** Whether a share of its life is over, it is not valid by this clock, or there is none. */
function isPast(authority: Authority | undefined, now_ms: number, share: number): boolean {
  if (!authority || !isValid(authority, now_ms)) return true;
  const { notBefore_ms, notAfter_ms } = authority;
  return now_ms >= notBefore_ms + (notAfter_ms - notBefore_ms) * share;
}
