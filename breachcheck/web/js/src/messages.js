/**
 * The messages of the evaluation, PROTOCOL §5.2, and the notice of maintenance, §10.1.
 * @module
 */

import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { ProtocolError } from './errors.js';
import { isHex, isObject, listOf, objectOf, parseJson } from './json.js';
import { seconds } from './manifest.js';
import { decodeElement, decodeScalar } from './oprf.js';
import { ELEMENT_LENGTH, MAX_ELEMENTS, MAX_EVALUATION, MAX_PROBLEM, SCALAR_LENGTH } from './parameters.js';

/** @typedef {import('./oprf.js').Element} Element */

const isResponse = objectOf({
  elements: listOf(isHex(ELEMENT_LENGTH), 1, MAX_ELEMENTS),
  proof: isHex(2 * SCALAR_LENGTH),
});

/**
 * Return the request for the evaluation of these elements.
 * @param {readonly Element[]} blinded
 * @returns {string}
 */
export function evaluationRequest(blinded) {
  return JSON.stringify({ elements: blinded.map((element) => bytesToHex(element.toBytes())) });
}

/**
 * Read the response of an evaluator.
 * @param {Uint8Array} octets
 * @returns {{elements: Element[], proof: {c: bigint, s: bigint}}}
 * @throws {ProtocolError}
 */
export function readEvaluation(octets) {
  if (octets.length > MAX_EVALUATION) throw new ProtocolError('evaluation_malformed');
  const message = parse(octets);
  if (!isResponse(message)) throw new ProtocolError('evaluation_malformed');
  const { elements, proof } = /** @type {{elements: string[], proof: string}} */ (message);
  const scalars = hexToBytes(proof);
  return {
    elements: elements.map((element) => decodeElement(hexToBytes(element))),
    proof: {
      c: decodeScalar(scalars.subarray(0, SCALAR_LENGTH)),
      s: decodeScalar(scalars.subarray(SCALAR_LENGTH)),
    },
  };
}

/**
 * Return when maintenance ends, from the body of a 503; null if it is no notice of maintenance.
 * @param {Uint8Array} octets
 * @returns {string | null} a time as the protocol writes it
 */
export function readMaintenance(octets) {
  if (octets.length > MAX_PROBLEM) return null;
  try {
    const problem = parseJson(octets, false); // a problem may have members of all kinds
    if (!isObject(problem) || problem['type'] !== 'urn:breachcheck:problem:maintenance') return null;
    const { until } = problem;
    return typeof until === 'string' && seconds(until) !== null ? until : null;
  } catch {
    return null;
  }
}

/** @param {Uint8Array} octets */
function parse(octets) {
  try {
    return parseJson(octets);
  } catch {
    throw new ProtocolError('evaluation_malformed');
  }
}
