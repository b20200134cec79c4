/**
 * By how much the clocks of issuer and validator may differ; not more, as it prolongs every SVID.
 */
export const CLOCK_SKEW_MS = 60_000;
/** Characters of a JWT-SVID: HTTP servers take some 16 KiB of headers in all. */
export const JWT_CHARS_MAX = 8 * 1024;
/** Audiences of one JWT-SVID; the standard recommends one. */
export const AUDIENCES_MAX = 16;
/** Characters of an audience: it may be a SPIFFE ID. */
export const AUDIENCE_CHARS_MAX = 2048;
/** Trust domains whose bundles are held at once. */
export const TRUST_DOMAINS_MAX = 256;
/** Identities that one workload has at once. */
export const IDENTITIES_MAX = 64;
/** Certificates that a TLS peer may present. */
export const CHAIN_MAX = 8;
