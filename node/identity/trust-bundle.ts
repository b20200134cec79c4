import { readFileSync, statSync } from 'node:fs';
import { X0tError, fail } from '#ledger/errors.ts';
import { assertOwn } from './bundle-fetch.ts';
import { parseBundle } from './bundle.ts';
import type { Bundle } from './bundle.ts';
import type { Certificate } from './certificate.ts';
import { idOf } from './x509-svid.ts';
import type { X509Authorities } from './x509-svid.ts';

/**
 * A bundle document that somebody trusts, of the trust domain `named`; else of the one that its
 * authorities name, since the document itself names none. Throws `bundle_invalid`,
 * `bundle_domain_unknown` where they name none or several, or there are none, and
 * `bundle_other_domain` where they name another.
 */
export function readTrustBundle(document: Uint8Array, named: string | undefined): Bundle {
  const bundle = parseBundle(named ?? '', document);
  if (named !== undefined) {
    assertOwn(bundle);
    return bundle;
  }
  const { x509 } = bundle;
  const names = new Set(x509.flatMap((one) => (one.uris[0] ? idOf(one).trustDomain : [])));
  const [own] = names;
  if (own !== undefined && names.size === 1) return { ...bundle, trustDomain: own };
  const message =
    x509.length === 0
      ? 'The bundle has no X.509 authorities: no node of its network issues identities now.'
      : 'The bundle does not say of which trust domain it is: give the ID of the node.';
  return fail('bundle_domain_unknown', message, { found: [...names].join(', ') });
}

/** The bundle in a file, read again when the file has changed. */
export class BundleFile implements X509Authorities {
  readonly #file: string;
  readonly #named: string | undefined;
  #held: { readonly mark: number; readonly bundle: Bundle } | undefined;

  /** `named`: the trust domain, where it is known otherwise. */
  constructor(file: string, named: string | undefined) {
    this.#file = file;
    this.#named = named;
  }

  /** Throws `file_unreadable` and the codes of `readTrustBundle`. */
  get bundle(): Bundle {
    try {
      const { mtimeMs: mark } = statSync(this.#file);
      if (this.#held?.mark !== mark) {
        const bundle = readTrustBundle(new Uint8Array(readFileSync(this.#file)), this.#named);
        this.#held = { mark, bundle };
      }
      return this.#held.bundle;
    } catch (cause) {
      if (cause instanceof X0tError) throw cause;
      const data = { file: this.#file };
      throw new X0tError('file_unreadable', 'The bundle cannot be read.', data, { cause });
    }
  }

  x509AuthoritiesOf(trustDomain: string): readonly Certificate[] | undefined {
    const { bundle } = this;
    return bundle.trustDomain === trustDomain ? bundle.x509 : undefined;
  }
}
