import type { Event } from './event.ts';
import { evidenceJobs } from './evidence.ts';
import { joinJobs } from './join.ts';
import type { SignatureJob } from './ports.ts';
import { rotationJobs } from './rotation.ts';

/**
 * Kinds with signatures inside their bodies. These are part of an event's validity as its own
 * signature is: whoever verifies the one (pool, intake, audit) verifies the others too. A body that
 * has not the form of its kind brings none, and is never applied (`bad_body`).
 */
const SOURCES: readonly ((event: Event) => readonly SignatureJob[])[] = [
  evidenceJobs,
  joinJobs,
  rotationJobs,
];

/** The signatures inside an event that its validity includes; none for most events. */
export function innerJobs(event: Event): readonly SignatureJob[] {
  return SOURCES.flatMap((jobs) => jobs(event));
}
