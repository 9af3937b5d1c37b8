/**
 * Constants, limits and named parameter sets. PROTOCOL §2.2, §2.3.
 * @module
 */

export const PROTOCOL = 'breachcheck-v1';
export const SUITE = 'ristretto255-SHA512';

export const ELEMENT_LENGTH = 32; // octets
export const SCALAR_LENGTH = 32;
export const TAG_LENGTH = 16;
export const PAYLOAD_LENGTH = 8;
export const ENTRY_LENGTH = TAG_LENGTH + PAYLOAD_LENGTH;
export const PAYLOAD_VERSION = 1;
export const HASH_LENGTH = 32;
export const SIGNATURE_LENGTH = 64;

export const MAX_ELEMENTS = 8;
export const MAX_PREFIX_BITS = 24;
export const MAX_EVALUATION = 2048; // octets
export const MAX_PROBLEM = 2048;
export const MAX_MANIFEST = 1 << 20;
export const MAX_PAGE = 1 << 24;

export const CLOCK_ERROR = 24 * 60 * 60; // seconds

/**
 * @typedef {{readonly name: string, readonly algorithm: string, readonly version: number, readonly memory_kib: number,
 *   readonly passes: number, readonly lanes: number}} SlowHashParameters
 */

/** @type {readonly Readonly<Pick<SlowHashParameters, 'name' | 'memory_kib' | 'passes'>>[]} */
export const PARAMETER_SETS = Object.freeze([
  Object.freeze({ name: 'standard', memory_kib: 19456, passes: 2 }),
  Object.freeze({ name: 'testing-only', memory_kib: 8, passes: 1 }),
]);
