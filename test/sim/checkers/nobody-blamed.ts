import type { MakeChecker } from './index.ts';

/** What cut links, stopped peers and slow answers cause by themselves. */
const CALM = new Set(['peer_gone', 'request_timeout', 'stopping', 'request_refused']);

/** No honest node holds anything against an honest peer that is not the network's doing. */
export const nobodyBlamed: MakeChecker = (world, report) => {
  const seen = new Set<string>();
  const look = (): void => {
    for (const { network, name, isHonest } of world.nodes) {
      if (!isHonest) continue;
      for (const { peer, code } of network?.penalties ?? []) {
        const isTraitor = world.nodes.some((one) => one.name === peer && one.driver);
        const text = `${name} penalised ${peer}: ${code}`;
        if (isTraitor || CALM.has(code) || seen.has(text)) continue;
        seen.add(text);
        report(text);
      }
    }
  };
  return { sample: look, end: look };
};
