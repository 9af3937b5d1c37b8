/**
 * The tree over the buckets of a kind: RFC 9162 §2.1 with SHA-256. PROTOCOL §7.3.
 * @module
 */

import { sha256 } from '@noble/hashes/sha2.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { HASH_LENGTH } from './parameters.js';

/**
 * Return the hash of a leaf, 32 octets.
 * @param {Uint8Array} entries
 */
export function leafHash(entries) {
  return sha256(concatBytes(Uint8Array.of(0), entries));
}

/**
 * Return the hash of a node, 32 octets.
 * @param {Uint8Array} left
 * @param {Uint8Array} right
 */
export function nodeHash(left, right) {
  return sha256(concatBytes(Uint8Array.of(1), left, right));
}

/**
 * Return the root of a full tree that a leaf and its inclusion path lead to, 32 octets.
 * @param {Uint8Array} leaf its hash
 * @param {number} bucket its number, below 2 to the number of nodes
 * @param {Uint8Array} path nodes of 32 octets, from the leaf's sibling up
 * @returns {Uint8Array}
 */
export function rootFrom(leaf, bucket, path) {
  let hash = leaf;
  for (let level = 0; level * HASH_LENGTH < path.length; level++) {
    const node = path.subarray(level * HASH_LENGTH, (level + 1) * HASH_LENGTH);
    hash = (bucket >>> level) & 1 ? nodeHash(node, hash) : nodeHash(hash, node);
  }
  return hash;
}
