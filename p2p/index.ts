/**
 * The network port (`Network` in `ledger/ports.ts`) on libp2p: TCP, noise, yamux, gossipsub. Links
 * carry only peers whose post-quantum hello was accepted. Everything is bounded, and a lost peer
 * is dialled for ever.
 */
export { createNetwork } from './network.ts';
export { generatePeerKey, peerNameOf, signAsPeer } from './keys.ts';
export { pointsOf } from './score.ts';
export { COUNTERS } from './counters.ts';
export type { Access, AskAccess } from './access.ts';
export type { CounterName } from './counters.ts';
export { requestJoin } from './join.ts';
export type { JoinHandler } from './join.ts';
export type { HelloAuth } from './hello.ts';
export type { ManagedNetwork, NetworkOptions, NetworkStatus } from './types.ts';
