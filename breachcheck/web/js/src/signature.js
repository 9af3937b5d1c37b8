/**
 * The publisher's signatures: Ed25519. RFC 8032, PROTOCOL §8.1.
 * @module
 */

import { edwards } from '@noble/curves/abstract/edwards.js';
import { bytesToNumberLE, equalBytes } from '@noble/curves/utils.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { concatBytes } from '@noble/hashes/utils.js';

const P = 2n ** 255n - 19n;

/**
 * Edwards25519, RFC 8032 §5.1. The library's Ed25519 on top of it multiplies by the cofactor when it verifies, and can
 * sign, which costs the page 1 kB.
 */
const Point = edwards({
  p: P,
  n: 2n ** 252n + 27742317777372353535851937790883648493n,
  h: 8n,
  a: P - 1n,
  d: 0x52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3n,
  Gx: 0x216936d3cd6e53fec0a4e231fdd6dc5c692cc7609525a7b2c9562d608f25d51an,
  Gy: 0x6666666666666666666666666666666666666666666666666666666666666658n,
});

/**
 * Verify an Ed25519 signature. RFC 8032 §5.1.7, without cofactor.
 * @param {Uint8Array} signature 64 octets
 * @param {Uint8Array} message
 * @param {Uint8Array} publicKey 32 octets
 * @returns {boolean}
 */
export function verify(signature, message, publicKey) {
  const r = signature.subarray(0, 32);
  const s = bytesToNumberLE(signature.subarray(32)); // 1
  if (s >= Point.Fn.ORDER) return false;
  let key;
  try {
    key = Point.fromBytes(publicKey);
  } catch {
    return false;
  }
  const k = Point.Fn.create(bytesToNumberLE(sha512(concatBytes(r, publicKey, message)))); // 2
  const expected = Point.BASE.multiplyUnsafe(s).subtract(key.multiplyUnsafe(k)); // 3
  return equalBytes(expected.toBytes(), r);
}
