/**
 * The engine that genesis objects of new networks name, and that this release brings: the release
 * of Cedar and the first 16 hex digits of the SHA-256 of its WebAssembly. Every node of a network
 * runs the same bytes, and WebAssembly without floats gives the same answers on every machine: so
 * the digest stands for the answers (docs/policy.md). Apart from the engine, which takes a while to
 * load.
 */
export const CEDAR = 'cedar/4.13.0/9ed10461f45bceab';
