import { Shares } from '#ledger/shares.ts';
import type { ConnectionGater, MultiaddrConnection, PeerId } from '@libp2p/interface';
import { hostOf } from './host-of.ts';

/**
 * Who may connect: nobody whom `refuses` names, and from one host no more connections in the middle
 * of their handshake than its share of `pending_max`. libp2p itself would give all of them to one
 * host that opens connections and says nothing for ten seconds.
 */
export function inboundGate(
  refuses: (peer: PeerId) => boolean,
  pending_max: number,
): ConnectionGater {
  const shares = new Shares(pending_max);
  const leaving = new WeakMap<object, () => void>();
  return {
    denyDialPeer: refuses,
    denyOutboundEncryptedConnection: refuses,
    denyInboundConnection(connection: MultiaddrConnection) {
      const host = hostOf(connection.remoteAddr);
      if (!shares.take(host)) return true;
      let isPending = true;
      const leave = (): void => {
        if (isPending) shares.give(host);
        isPending = false;
      };
      leaving.set(connection, leave);
      connection.addEventListener('close', leave);
      return false;
    },
    denyInboundEncryptedConnection: refuses,
    denyInboundUpgradedConnection(_peer, connection) {
      leaving.get(connection)?.();
      return false;
    },
  };
}
