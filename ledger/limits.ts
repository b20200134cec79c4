/**
 * Sizes and counts that the protocol fixes (`wire.md`). Changing one is a new version of the wire
 * format. Network-wide choices that a genesis may set are in `genesis.ts`; what a node may choose
 * for itself is in `node/config.ts`.
 */

/** ML-DSA-65, FIPS 204 table 2: raw public key. */
export const PUBLIC_KEY_BYTES = 1952;
/** ML-DSA-65, FIPS 204 table 2: raw signature. */
export const SIGNATURE_BYTES = 3309;
/** One event without its signature. A blob goes by reference. */
export const EVENT_BYTES_MAX = 64 * 1024;
/**
 * A block with header, signature, key table and entries: four events of maximal size and their
 * keys.
 */
export const BLOCK_BYTES_MAX = 256 * 1024;
/** Entries in a block: bounds what one signature check can bring in. */
export const BLOCK_ENTRIES_MAX = 512;
/** Event ids an event may depend on. */
export const EVENT_DEPS_MAX = 8;
/** Lanes of one actor: one per device or submitting node. */
export const LANES_MAX = 64;
/** Sequence numbers below the highest used one of a lane that may still be used. */
export const LANE_WINDOW = 1024;
/** Members of a committee: parents are listed in every header, and quorums are found by scans. */
export const COMMITTEE_MAX = 128;
/**
 * Rounds below the last committed leader that may still be linearised; a chain constant
 * (`consensus.md` 2.17).
 */
export const GC_DEPTH = 60;
/**
 * Final events that are remembered by id: a repetition or a dependency is looked up among the last
 * so many, on every node alike, so that nodes which keep no more go on to the same state. A chain
 * constant; some 200 MB of rows.
 */
export const REMEMBERED_EVENTS = 2 ** 20;
/** Rounds stay well inside 32 bits, so that keys and sums are exact. */
export const ROUND_MAX = 2 ** 31 - 1;
/** Nesting in a decoded object: stops a stack overflow by crafted input. */
export const NESTING_MAX = 16;
/** A gossiped message; larger ones vanish silently from 4 MiB on (`network.md`). */
export const GOSSIP_BYTES_MAX = 1024 * 1024;
/** A request frame on a stream. */
export const REQUEST_BYTES_MAX = 256 * 1024;
/** A response frame on a stream: one block or one record with room for its envelope. */
export const FRAME_BYTES_MAX = 320 * 1024;
