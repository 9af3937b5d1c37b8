/**
 * The client's half of the verifiable OPRF: RFC 9497, ristretto255-SHA512, mode 0x01. PROTOCOL §5.
 * @module
 */

import { mulAddUnsafe } from '@noble/curves/abstract/curve.js';
import { ristretto255, ristretto255_hasher } from '@noble/curves/ed25519.js';
import { bytesToNumberLE } from '@noble/curves/utils.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { concatBytes, randomBytes } from '@noble/hashes/utils.js';
import { utf8 } from './encoding.js';
import { ProtocolError } from './errors.js';
import { ELEMENT_LENGTH, SCALAR_LENGTH, SUITE } from './parameters.js';

const { Point } = ristretto255;
const { Fn } = Point;

/** @typedef {InstanceType<typeof Point>} Element */

const CONTEXT = concatBytes(utf8('OPRFV1-'), Uint8Array.of(1), utf8(`-${SUITE}`)); // §3.1

/** @param {string} prefix */
const separated = (prefix) => ({ DST: concatBytes(utf8(prefix), CONTEXT) });

const HASH_TO_GROUP = separated('HashToGroup-');
const HASH_TO_SCALAR = separated('HashToScalar-');

/**
 * Return octets behind their length as two octets.
 * @param {Uint8Array} octets
 */
const prefixed = (octets) => concatBytes(Uint8Array.of(octets.length >> 8, octets.length & 255), octets);

/**
 * DeserializeElement, §2.1 and §4.1: a canonical encoding, not the identity.
 * @param {Uint8Array} octets
 * @returns {Element}
 * @throws {ProtocolError}
 */
export function decodeElement(octets) {
  let element;
  try {
    element = Point.fromBytes(octets);
  } catch {
    throw new ProtocolError('evaluation_malformed');
  }
  if (octets.length !== ELEMENT_LENGTH || element.is0()) throw new ProtocolError('evaluation_malformed');
  return element;
}

/**
 * DeserializeScalar, §2.1 and §4.1: little-endian, below the order of the group.
 * @param {Uint8Array} octets
 * @returns {bigint}
 * @throws {ProtocolError}
 */
export function decodeScalar(octets) {
  const scalar = bytesToNumberLE(octets);
  if (octets.length !== SCALAR_LENGTH || scalar >= Fn.ORDER) throw new ProtocolError('evaluation_malformed');
  return scalar;
}

/**
 * RandomScalar, §4.7.2: 512 random bits reduced, never zero.
 * @param {(length: number) => Uint8Array} random
 * @returns {bigint}
 */
function randomScalar(random) {
  for (;;) {
    const scalar = Fn.create(bytesToNumberLE(random(64)));
    if (scalar !== 0n) return scalar;
  }
}

/**
 * Blind, §3.3.1: hide an input from the evaluator.
 * @param {Uint8Array} input
 * @param {(length: number) => Uint8Array} [random] another source than the system's is for vectors only
 * @returns {{blind: bigint, blinded: Element}}
 */
export function blind(input, random = randomBytes) {
  const element = ristretto255_hasher.hashToCurve(input, HASH_TO_GROUP);
  if (element.is0()) throw new Error('the input hashes to the identity'); // InvalidInputError
  const scalar = randomScalar(random);
  return { blind: scalar, blinded: element.multiply(scalar) };
}

/**
 * VerifyProof, §2.2.2: return whether the evaluated elements were made with the key of `publicKey`.
 * @param {Element} publicKey
 * @param {readonly Element[]} blinded
 * @param {readonly Element[]} evaluated
 * @param {{c: bigint, s: bigint}} proof
 * @returns {boolean}
 */
export function verifyProof(publicKey, blinded, evaluated, { c, s }) {
  // ComputeComposites, §2.2.1
  const key = prefixed(publicKey.toBytes());
  const seed = prefixed(sha512(concatBytes(key, prefixed(concatBytes(utf8('Seed-'), CONTEXT)))));
  const weights = blinded.map((element, i) => {
    const pair = [element, evaluated[i] ?? Point.ZERO].map((point) => prefixed(point.toBytes()));
    const transcript = concatBytes(seed, Uint8Array.of(i >> 8, i & 255), ...pair, utf8('Composite'));
    return ristretto255_hasher.hashToScalar(transcript, HASH_TO_SCALAR);
  });
  const m = mulAddUnsafe(Point, [...blinded], weights);
  const z = mulAddUnsafe(Point, [...evaluated], weights);
  // A product that is the identity proves nothing: PROTOCOL §9.2 step 7.
  if ([c, s, ...weights].includes(0n) || m.is0() || z.is0()) return false;

  const t2 = mulAddUnsafe(Point, [Point.BASE, publicKey], [s, c]);
  const t3 = mulAddUnsafe(Point, [m, z], [s, c]);
  const points = [m, z, t2, t3].map((point) => prefixed(point.toBytes()));
  const challenge = concatBytes(key, ...points, utf8('Challenge'));
  return ristretto255_hasher.hashToScalar(challenge, HASH_TO_SCALAR) === c;
}

/**
 * Finalize, §3.3.1, once the proof was verified: return the output, 64 octets.
 * @param {Uint8Array} input
 * @param {bigint} scalar the blind
 * @param {Element} evaluated
 * @returns {Uint8Array}
 */
export function finalize(input, scalar, evaluated) {
  const unblinded = evaluated.multiply(Fn.inv(scalar)).toBytes();
  return sha512(concatBytes(prefixed(input), prefixed(unblinded), utf8('Finalize')));
}
