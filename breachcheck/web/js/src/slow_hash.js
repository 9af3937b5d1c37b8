/**
 * The slow hash: Argon2id of kind and canonical form. PROTOCOL §4, RFC 9106.
 * @module
 */

import { argon2id } from '@noble/hashes/argon2.js';
import { hexToBytes } from '@noble/hashes/utils.js';
import { encode, utf8 } from './encoding.js';

/**
 * Return the slow hash of an identifier, 32 octets. It keeps its thread busy: run it in a worker.
 * @param {string} kind
 * @param {string} form canonical
 * @param {string} salt 16 octets in hexadecimal
 * @param {Readonly<Pick<import('./parameters.js').SlowHashParameters, 'memory_kib' | 'passes'>>} parameters
 * @param {(done: number) => void} [progress] gets the part that is done, 0 to 1
 * @returns {Uint8Array}
 */
export function slowHash(kind, form, salt, parameters, progress = () => {}) {
  return argon2id(encode('slow-hash', utf8(kind), utf8(form)), hexToBytes(salt), {
    version: 0x13,
    m: parameters.memory_kib,
    t: parameters.passes,
    p: 1,
    dkLen: 32,
    onProgress: progress,
  });
}
