/** Replays the vector files of tests/vectors. */

import { argon2id } from '@noble/hashes/argon2.js';
import { ristretto255, ristretto255_hasher, ristretto255_oprf } from '@noble/curves/ed25519.js';
import { bytesToHex, concatBytes } from '@noble/hashes/utils.js';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bucketName, bucketNumber, pageLength, splitPage } from '../src/bucket.js';
import { acceptManifest, conclude, locate, start } from '../src/client.js';
import { encode, expand, utf8 } from '../src/encoding.js';
import { findEntry, stream } from '../src/entry.js';
import { InputError, ProtocolError } from '../src/errors.js';
import { canonical, rulesDigest } from '../src/identifier.js';
import { readManifest } from '../src/manifest.js';
import { leafHash, rootFrom } from '../src/merkle.js';
import { evaluationRequest, readEvaluation, readMaintenance } from '../src/messages.js';
import { blind, decodeElement, decodeScalar, finalize, verifyProof } from '../src/oprf.js';
import { slowHash } from '../src/slow_hash.js';
import { drawing, hex, reasonOf, time, vectors } from './vectors.js';

test('rfc9497: blind, proof, finalize', () => {
  const { pk, vectors: cases } = vectors('rfc9497');
  for (const { inputs, blinds, blinded_elements, evaluated_elements, proof, outputs } of cases) {
    const drawn = inputs.map((input, i) => blind(hex(input), drawing(hex(blinds[i]))));
    assert.deepEqual(drawn.map(({ blinded }) => bytesToHex(blinded.toBytes())), blinded_elements);
    const evaluated = evaluated_elements.map((element) => decodeElement(hex(element)));
    const scalars = { c: decodeScalar(hex(proof.slice(0, 64))), s: decodeScalar(hex(proof.slice(64))) };
    assert.ok(verifyProof(decodeElement(hex(pk)), drawn.map(({ blinded }) => blinded), evaluated, scalars));
    const y = inputs.map((input, i) => finalize(hex(input), drawn[i].blind, evaluated[i]));
    assert.deepEqual(y.map(bytesToHex), outputs);
  }
});

test('ristretto255: decoding and the one-way map', () => {
  const { multiples, invalid, one_way_map } = vectors('ristretto255');
  assert.equal(reasonOf(() => decodeElement(hex(multiples[0]))), 'evaluation_malformed'); // the identity
  multiples.slice(1).forEach((encoding, i) => {
    const element = decodeElement(hex(encoding));
    assert.equal(bytesToHex(element.toBytes()), encoding);
    assert.ok(element.equals(ristretto255.Point.BASE.multiply(BigInt(i + 1))));
  });
  for (const { encoding } of invalid) {
    assert.equal(reasonOf(() => decodeElement(hex(encoding))), 'evaluation_malformed');
  }
  for (const { uniform_bytes, element } of one_way_map) {
    assert.equal(bytesToHex(ristretto255_hasher.deriveToCurve(hex(uniform_bytes)).toBytes()), element);
  }
});

test('argon2id', () => {
  for (const { password, salt, tag, ...vector } of vectors('argon2id').vectors) {
    const output = argon2id(hex(password), hex(salt), {
      m: vector.memory_kib,
      t: vector.iterations,
      p: vector.parallelism,
      dkLen: tag.length / 2,
      key: hex(vector.secret),
      personalization: hex(vector.associated_data),
    });
    assert.equal(bytesToHex(output), tag);
  }
});

test('rfc9162: inclusion in full trees', () => {
  let full = 0;
  for (const { name, leaf, leaf_hash, leaf_index, tree_size, path, root, valid } of vectors('rfc9162').inclusion) {
    const levels = Math.log2(tree_size);
    if (!Number.isInteger(levels) || path.length !== levels || leaf_index >= tree_size) continue; // no page has these
    if (root === '') continue; // nor has a manifest this
    full += 1;
    const start = leaf_hash === undefined ? leafHash(hex(leaf)) : hex(leaf_hash);
    assert.equal(bytesToHex(rootFrom(start, leaf_index, hex(path.join('')))) === root, valid, name);
  }
  assert.ok(full > 8);
});

test('identifiers: rules', () => {
  for (const [kind, digest] of Object.entries(vectors('identifiers').rules)) assert.equal(rulesDigest(kind), digest);
  assert.equal(rulesDigest('__proto__'), undefined);
});

test('identifiers: canonical forms', () => {
  for (const { name, kind, text, canonical: form } of vectors('identifiers').good) {
    assert.equal(canonical(kind, text), form, name);
  }
});

test('identifiers: refusals', () => {
  for (const { name, kind, text, reason } of vectors('identifiers').bad) {
    assert.throws(() => canonical(kind, text), (error) => error instanceof InputError && error.reason === reason, name);
  }
  assert.equal(reasonOf(() => canonical('constructor', '0612345678')), 'unknown_kind');
});

test('encoding: encode and expand', () => {
  for (const { purpose, parts, octets } of vectors('encoding').encode) {
    assert.equal(bytesToHex(encode(purpose, ...parts.map(hex))), octets);
  }
  for (const { key, info, octets } of vectors('encoding').expand) {
    assert.equal(bytesToHex(expand(hex(key), hex(info), octets.length / 2)), octets);
  }
});

test('slow_hash', () => {
  for (const { parameters, kind, canonical: form, salt, password, slow_hash } of vectors('slow_hash').vectors) {
    assert.equal(bytesToHex(encode('slow-hash', utf8(kind), utf8(form))), password);
    assert.equal(bytesToHex(slowHash(kind, form, salt, parameters)), slow_hash);
  }
});

test('evaluation: requests, responses, outputs', () => {
  const { public_key, good } = vectors('evaluation');
  for (const { name, inputs, blinds, request, response, outputs } of good) {
    const drawn = inputs.map((input, i) => blind(hex(input), drawing(hex(blinds[i]))));
    const blinded = drawn.map((one) => one.blinded);
    assert.equal(evaluationRequest(blinded), new TextDecoder().decode(hex(request)), name);
    const { elements, proof } = readEvaluation(hex(response));
    assert.ok(verifyProof(decodeElement(hex(public_key)), blinded, elements, proof), name);
    const y = elements.map((element, i) => finalize(hex(inputs[i]), drawn[i].blind, element));
    assert.deepEqual(y.map(bytesToHex), outputs, name);
  }
});

test('maintenance: notices, and what is none', () => {
  const { notices, others } = vectors('maintenance');
  for (const { name, body, until } of notices) assert.equal(readMaintenance(hex(body)), until, name);
  for (const { name, body } of others) assert.equal(readMaintenance(hex(body)), null, name);
});

test('evaluation: bad responses', () => {
  const { public_key, bad_responses } = vectors('evaluation');
  for (const { name, input, blind: scalar, response, reason } of bad_responses) {
    const drawn = blind(hex(input), drawing(hex(scalar)));
    const table = { kind: 'phone', prefix_bits: 0, entries_per_bucket: 1 };
    const state = { manifest: { public_key, release: 7 }, table, input: hex(input), ...drawn };
    assert.equal(reasonOf(() => locate(state, hex(response))), reason, name);
  }
});

test('evaluation: bad requests are none that this client makes', () => {
  const { secret_key, bad_requests } = vectors('evaluation');
  assert.ok(bad_requests.length > 0);
  const { blinded } = blind(utf8('input'));
  const request = evaluationRequest([blinded]);
  assert.match(request, /^\{"elements":\["[0-9a-f]{64}"\]\}$/);
  assert.ok(ristretto255_oprf.oprf.blindEvaluate(hex(secret_key), hex(JSON.parse(request).elements[0])));
  assert.ok(bad_requests.every((bad) => bad.request !== bytesToHex(utf8(request))));
});

test('entries: seal, find, malformed', () => {
  const { output, dataset, release, seal, find, bad } = vectors('entries');
  for (const { name, fields, flags, entry, ...from } of seal) {
    const key = stream(hex(output), from.dataset, from.release);
    const payload = hex(`${fields.toString(16).padStart(8, '0')}0${flags}010000`);
    const expected = concatBytes(key.subarray(0, 16), key.subarray(16).map((octet, i) => octet ^ payload[i]));
    assert.equal(bytesToHex(expected), entry, name);
    const found = findEntry(hex(entry), hex(output), from.dataset, from.release);
    assert.deepEqual(found, { fields, employer: (flags & 1) === 1, shared: flags > 1 }, name);
  }
  for (const { name, entries, found } of find) {
    const payload = found && { fields: found.fields, employer: (found.flags & 1) === 1, shared: found.flags > 1 };
    assert.deepEqual(findEntry(hex(entries), hex(output), dataset, release), payload, name);
  }
  for (const { name, entries, reason } of bad) {
    assert.equal(reasonOf(() => findEntry(hex(entries), hex(output), dataset, release)), reason, name);
  }
});

test('pages: locators', () => {
  for (const { output, kind, locator, buckets } of vectors('pages').locators) {
    assert.equal(bytesToHex(expand(hex(output), encode('bucket', utf8(kind)), 8)), locator);
    for (const [bits, bucket] of Object.entries(buckets)) {
      assert.equal(bucketNumber(hex(output), kind, Number(bits)), bucket);
    }
  }
});

/** A state in which only the page is left to check, for a manifest without datasets. */
const located = ({ prefix_bits, entries_per_bucket, root, bucket }) => ({
  manifest: { release: 7, datasets: [], data_classes: [] },
  table: { kind: 'phone', prefix_bits, entries_per_bucket, root },
  y: new Uint8Array(64),
  bucket,
});

test('pages: proofs', () => {
  const { good, bad } = vectors('pages');
  for (const { name, page, page_length, name_in_url, ...from } of good) {
    assert.equal(pageLength(from.entries_per_bucket, from.prefix_bits), page_length, name);
    assert.equal(bucketName(from.bucket), name_in_url, name);
    const { entries, path } = splitPage(hex(page), from.entries_per_bucket);
    assert.equal(bytesToHex(rootFrom(leafHash(entries), from.bucket, path)), from.root, name);
    assert.equal(conclude(located(from), hex(page)).checked.length, 0, name);
  }
  for (const { name, page, reason, ...from } of bad) {
    assert.equal(reasonOf(() => conclude(located(from), hex(page))), reason, name);
  }
});

test('manifest: accepted', () => {
  const { publisher_key, good } = vectors('manifest');
  for (const { name, signed, content } of good) {
    const now = time(content.created);
    assert.deepEqual(readManifest(hex(signed), hex(publisher_key), now), content, name);
  }
});

test('manifest: refused', () => {
  const { publisher_key, bad } = vectors('manifest');
  const now = time('2026-11-21T12:00:00Z');
  for (const { name, signed, reason } of bad) {
    assert.equal(reasonOf(() => readManifest(hex(signed), hex(publisher_key), now)), reason, name);
  }
});

test('canaries: hashed like any identifier, and nobody can type one', () => {
  const { service_salt, parameters, members, absent, refused } = vectors('canaries');
  for (const { kind, canonical: form, slow_hash } of [...members, ...absent]) {
    assert.equal(bytesToHex(slowHash(kind, form, service_salt, parameters)), slow_hash, form);
  }
  for (const { output, dataset, release, fields, entry } of members) {
    assert.deepEqual(findEntry(hex(entry), hex(output), dataset, release), { fields, employer: false, shared: false }, dataset);
  }
  for (const { kind, text, reason } of refused) {
    assert.equal(reasonOf(() => canonical(kind, text)), reason, `${kind} ${text}`);
  }
});

/** The verdict of a whole check, in the words of the vectors, and the stage at which it ended. */
function outcome(vector, manifests) {
  let stage = 'identifier';
  try {
    const form = canonical(vector.kind, vector.text);
    stage = 'manifest';
    const now = time(vector.now);
    const manifest = acceptManifest(hex(manifests[vector.manifest]), hex(vector.publisher_key), now, vector.last_seen);
    stage = 'start';
    const started = start(manifest, vector.kind, form, { random: drawing(hex(vector.blind)) });
    assert.equal(bytesToHex(utf8(started.request)), vector.request);
    stage = 'evaluation';
    const { state, path } = locate(started.state, hex(vector.response));
    assert.equal(path, vector.path);
    stage = 'bucket';
    const { type, release, checked, unchecked, coverage, exposures = [] } = conclude(state, hex(vector.page));
    return { stage: 'verdict', verdict: { verdict: type, release, breaches: exposures, checked, unchecked, coverage } };
  } catch (error) {
    const type = error instanceof InputError ? 'invalid' : 'undetermined';
    assert.ok(error instanceof InputError || error instanceof ProtocolError, error.stack);
    if (error.reason === 'entry_malformed') stage = 'entry';
    return { stage, verdict: { verdict: type, reason: error.reason } };
  }
}

test('checks: whole checks, good and bad', () => {
  const { manifests, good, bad } = vectors('checks');
  for (const vector of [...good, ...bad]) {
    const { name, stage, verdict } = vector;
    assert.deepEqual(outcome(vector, manifests), { stage, verdict }, name);
  }
});
