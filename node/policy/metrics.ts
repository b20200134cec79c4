import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';
import type { DecisionLog } from './decision-log.ts';

/** Decisions of policies on this node; the label `decision` is `allow` or `deny`. */
export const DECISIONS_METRIC = 'x0t_policy_decisions_total';

/** Shows a node's decisions on `/metrics`; they are read when somebody asks. */
export function registerPolicyMetrics(registry: Registry, { counts }: DecisionLog): void {
  const counter = new Counter({
    name: DECISIONS_METRIC,
    help: 'Decisions of policies: at admission, at apply, and for calls of the API',
    labelNames: ['decision'],
    registers: [],
    collect() {
      this.reset();
      this.inc({ decision: 'allow' }, counts.allowed);
      this.inc({ decision: 'deny' }, counts.denied);
    },
  });
  registry.registerMetric(counter);
}
