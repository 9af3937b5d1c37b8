/**
 * The signed manifest of a release. PROTOCOL §8.
 * @module
 */

import { pageLength } from './bucket.js';
import { encode } from './encoding.js';
import { ProtocolError } from './errors.js';
import { is, isHex, isInteger, isObject, isText, listOf, mapOf, matches, objectOf, parseJson } from './json.js';
import * as parameters from './parameters.js';
import { verify } from './signature.js';
import { deepFreeze } from './verdict.js';

/** @typedef {import('./parameters.js').SlowHashParameters} SlowHashParameters */

/**
 * A text by language tag, written by the steward: to be shown as text, never as markup.
 * @typedef {Readonly<Record<string, string>>} Text
 */

/**
 * @typedef {{readonly kind: string, readonly rules: string, readonly prefix_bits: number,
 *   readonly entries_per_bucket: number, readonly root: string, readonly members_min: number,
 *   readonly population_min: number}} Table
 */

/**
 * @typedef {{readonly name: string, readonly title: Text, readonly date: string | null, readonly source_note: Text,
 *   readonly authenticity_note: Text, readonly fields: readonly string[], readonly kinds: readonly string[],
 *   readonly rows_read: number, readonly rows_accepted: number,
 *   readonly rows_rejected: Readonly<Record<string, number>>,
 *   readonly identifiers_rejected: Readonly<Record<string, Readonly<Record<string, number>>>>}} Dataset
 */

/**
 * An invented identifier that stands in a dataset with these fields. PROTOCOL §8.4.
 * @typedef {{readonly kind: string, readonly dataset: string, readonly fields: readonly string[]}} Canary
 */

/** @typedef {{readonly name: string, readonly date: string, readonly reason: Text}} Withdrawal */

/**
 * @typedef {{readonly protocol: string, readonly suite: string, readonly release: number, readonly created: string,
 *   readonly valid_until: string, readonly service_salt: string, readonly slow_hash: SlowHashParameters,
 *   readonly public_key: string, readonly data_classes: readonly string[], readonly kinds: readonly Table[],
 *   readonly datasets: readonly Dataset[], readonly canaries: readonly Canary[],
 *   readonly withdrawn: readonly Withdrawal[], readonly erasures: number}} Manifest
 */

const isCount = isInteger(0, Number.MAX_SAFE_INTEGER);
const isKind = matches(/^[a-z][a-z0-9_+]{0,63}$/);
const isName = matches(/^[a-z0-9][a-z0-9._-]{0,63}$/);
const isDate = matches(/^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$/);
const isTranslated = mapOf(matches(/^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$/), isText);
const isTime = (/** @type {unknown} */ value) => typeof value === 'string' && seconds(value) !== null;

const hasTypes = objectOf({
  protocol: isText,
  suite: isText,
  release: isInteger(1, Number.MAX_SAFE_INTEGER),
  created: isTime,
  valid_until: isTime,
  service_salt: isHex(16),
  slow_hash: objectOf({
    name: isText,
    algorithm: is('argon2id'),
    version: is(0x13),
    memory_kib: isInteger(-Infinity, Infinity),
    passes: isInteger(-Infinity, Infinity),
    lanes: is(1),
  }),
  public_key: isHex(parameters.ELEMENT_LENGTH),
  data_classes: listOf(isText, 0, 32),
  kinds: listOf(
    objectOf({
      kind: isKind,
      rules: isHex(32),
      prefix_bits: isInteger(0, parameters.MAX_PREFIX_BITS),
      entries_per_bucket: isInteger(1, Number.MAX_SAFE_INTEGER),
      root: isHex(parameters.HASH_LENGTH),
      members_min: isCount,
      population_min: isCount,
    }),
  ),
  datasets: listOf(
    objectOf({
      name: isName,
      title: isTranslated,
      date: (value) => value === null || isDate(value),
      source_note: isTranslated,
      authenticity_note: isTranslated,
      fields: listOf(isText),
      kinds: listOf(isText),
      rows_read: isCount,
      rows_accepted: isCount,
      rows_rejected: mapOf(isText, isCount),
      identifiers_rejected: mapOf(isKind, mapOf(isText, isCount)),
    }),
  ),
  canaries: listOf(objectOf({ kind: isKind, dataset: isName, fields: listOf(isText, 1) })),
  withdrawn: listOf(objectOf({ name: isName, date: isDate, reason: isTranslated })),
  erasures: isCount,
});

/**
 * Check a signed manifest and return what it says. PROTOCOL §8.3, checks 1 to 8, in that order.
 * @param {Uint8Array} signed
 * @param {Uint8Array} publisherKey 32 octets, pinned
 * @param {number} now seconds since 1970
 * @returns {Manifest}
 * @throws {ProtocolError}
 */
export function readManifest(signed, publisherKey, now) {
  if (signed.length <= parameters.SIGNATURE_LENGTH || signed.length > parameters.MAX_MANIFEST) {
    throw new ProtocolError('manifest_malformed'); // 1
  }
  const signature = signed.subarray(0, parameters.SIGNATURE_LENGTH);
  const text = signed.subarray(parameters.SIGNATURE_LENGTH);
  if (!verify(signature, encode('manifest', text), publisherKey)) throw new ProtocolError('manifest_signature'); // 2
  const value = parse(text);
  if (!isObject(value)) throw new ProtocolError('manifest_malformed'); // 3
  if (value.protocol !== parameters.PROTOCOL || value.suite !== parameters.SUITE) {
    throw new ProtocolError('manifest_version'); // 4
  }
  if (!hasTypes(value)) throw new ProtocolError('manifest_malformed'); // 5
  const manifest = /** @type {Manifest} */ (/** @type {unknown} */ (value));
  if (!isConsistent(manifest)) throw new ProtocolError('manifest_malformed');
  const { name, memory_kib, passes } = manifest.slow_hash;
  const known = parameters.PARAMETER_SETS.find((set) => set.name === name);
  if (known?.memory_kib !== memory_kib || known.passes !== passes) {
    throw new ProtocolError('manifest_parameters'); // 6
  }
  if (now > (seconds(manifest.valid_until) ?? -Infinity)) throw new ProtocolError('manifest_expired'); // 7
  if (now < (seconds(manifest.created) ?? Infinity) - parameters.CLOCK_ERROR) {
    throw new ProtocolError('manifest_not_yet_valid'); // 8
  }
  return deepFreeze(manifest);
}

/**
 * Return whether the members of a manifest agree with each other. PROTOCOL §8.2.
 * @param {Manifest} manifest
 */
function isConsistent({ created, valid_until, data_classes, kinds, datasets, canaries, withdrawn }) {
  const names = kinds.map(({ kind }) => kind);
  const withdrawnNames = withdrawn.map(({ name }) => name);
  return (
    created <= valid_until && // times are of one form, and sort as texts
    isDistinct(data_classes) &&
    isDistinct(names) &&
    isDistinct(datasets.map(({ name }) => name)) &&
    kinds.every((table) => pageLength(table.entries_per_bucket, table.prefix_bits) <= parameters.MAX_PAGE) &&
    datasets.every((dataset) => isDistinct(dataset.fields) && isDistinct(dataset.kinds)) &&
    datasets.every((dataset) => dataset.fields.every((field) => data_classes.includes(field))) &&
    datasets.every((dataset) => dataset.kinds.every((kind) => names.includes(kind))) &&
    isDistinct(canaries.map(({ kind, dataset }) => `${kind} ${dataset}`)) &&
    canaries.every(({ kind, dataset, fields }) => {
      const of = datasets.find(({ name }) => name === dataset);
      return of?.kinds.includes(kind) && isDistinct(fields) && fields.every((field) => of.fields.includes(field));
    }) &&
    isDistinct(withdrawnNames) &&
    datasets.every(({ name }) => !withdrawnNames.includes(name))
  );
}

/** @param {readonly string[]} values */
const isDistinct = (values) => new Set(values).size === values.length;

/** @param {Uint8Array} text */
function parse(text) {
  try {
    return parseJson(text);
  } catch {
    throw new ProtocolError('manifest_malformed');
  }
}

/**
 * Return a time of the protocol in seconds since 1970; null if it is none.
 * @param {string} text
 * @returns {number | null}
 */
export function seconds(text) {
  if (!/^[2-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$/.test(text)) return null;
  const time = new Date(text);
  // Written back it is another text if there is no such day or hour.
  if (Number.isNaN(time.getTime()) || time.toISOString() !== text.replace('Z', '.000Z')) return null;
  return time.getTime() / 1000;
}
