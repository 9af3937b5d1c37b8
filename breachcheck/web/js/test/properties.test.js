/** What must hold for all: seeded at random, so that a failure comes again. */

import { ed25519, ristretto255_oprf, ED25519_TORSION_SUBGROUP } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { bucketNumber } from '../src/bucket.js';
import { acceptManifest, conclude, locate, start } from '../src/client.js';
import { encode, expand, u64, utf8 } from '../src/encoding.js';
import { ProtocolError } from '../src/errors.js';
import { canonical } from '../src/identifier.js';
import { parseJson } from '../src/json.js';
import { blind, decodeElement, decodeScalar, finalize, verifyProof } from '../src/oprf.js';
import { verify } from '../src/signature.js';
import { MEMBER, STRANGER, Steward, seeded, small } from './simulator.js';
import { reasonOf } from './vectors.js';

const random = seeded('properties');
/** A number below `limit`. */
const below = (limit) => new DataView(random(4).buffer).getUint32(0) % limit;

test('corruption: no octets but the right ones lead to a verdict', () => {
  const steward = new Steward(random);
  const published = small(steward);
  const key = hexToBytes(steward.publisherKey);
  const now = Date.UTC(2026, 0, 1) / 1000;
  const corrupt = (octets) => {
    const changed = Uint8Array.from(octets);
    const how = below(6);
    if (how === 0) return changed.subarray(0, below(octets.length));
    if (how === 1) return concatBytes(changed, random(1 + below(40)));
    if (how === 2) return random(octets.length);
    const at = below(octets.length);
    if (how === 3) changed[at] ^= 1 + below(255);
    else if (how === 4) changed.fill(below(256), at);
    else changed.copyWithin(at, below(octets.length));
    return changed;
  };
  const same = (a, b) => bytesToHex(a) === bytesToHex(b);

  for (const text of [MEMBER, STRANGER]) {
    const manifest = acceptManifest(published.signed, key, now, 0);
    const { state, request } = start(manifest, 'phone', canonical('phone', text));
    const response = utf8(steward.evaluate(request));
    const located = locate(state, response);
    const page = published.pages.phone[located.state.bucket];
    const steps = [
      [published.signed, (octets) => acceptManifest(octets, key, now, 0), 300],
      [response, (octets) => locate(state, octets), 300],
      [page, (octets) => conclude(located.state, octets), 1000],
    ];
    for (const [octets, step, times] of steps) {
      for (let i = 0; i < times; i++) {
        const changed = corrupt(octets);
        if (!same(changed, octets)) assert.throws(() => step(changed), ProtocolError);
      }
    }
    assert.equal(conclude(located.state, page).type, text === MEMBER ? 'exposed' : 'not_found');
  }
});

test('OPRF: finalize after blind and evaluate is the library\'s evaluate', () => {
  const { voprf } = ristretto255_oprf;
  for (let i = 0; i < 10; i++) {
    const { secretKey, publicKey } = voprf.deriveKeyPair(random(32), utf8('key'));
    const inputs = Array.from({ length: 1 + below(8) }, () => random(below(100)));
    const drawn = inputs.map((input) => blind(input));
    const blinded = drawn.map((one) => one.blinded);
    const sent = blinded.map((element) => element.toBytes());
    const { evaluated, proof } = voprf.blindEvaluateBatch(secretKey, publicKey, sent);
    const elements = evaluated.map(decodeElement);
    const scalars = { c: decodeScalar(proof.subarray(0, 32)), s: decodeScalar(proof.subarray(32)) };
    assert.ok(verifyProof(decodeElement(publicKey), blinded, elements, scalars));
    assert.ok(!verifyProof(decodeElement(publicKey), blinded, elements, { ...scalars, s: scalars.s ^ 1n }));
    if (inputs.length > 1) {
      assert.ok(!verifyProof(decodeElement(publicKey), blinded, [...elements].reverse(), scalars));
    }
    inputs.forEach((input, n) => {
      assert.deepEqual(finalize(input, drawn[n].blind, elements[n]), voprf.evaluate(secretKey, input));
    });
  }
});

test('OPRF: a blind is never zero, and never the same twice', () => {
  const draws = [new Uint8Array(64), Uint8Array.from(random(64))];
  assert.notEqual(blind(utf8('input'), () => draws.shift()).blind, 0n);
  assert.equal(draws.length, 0);
  assert.notEqual(blind(utf8('input')).blind, blind(utf8('input')).blind);
});

test('scalars: the order and above are refused, not reduced', () => {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const octets = (number) => hexToBytes(number.toString(16).padStart(64, '0')).reverse();
  assert.equal(decodeScalar(octets(order - 1n)), order - 1n);
  for (const number of [order, order + 1n, 2n ** 253n, 2n ** 255n, 2n ** 256n - 1n]) {
    assert.equal(reasonOf(() => decodeScalar(octets(number))), 'evaluation_malformed');
  }
  for (const length of [0, 31, 33]) {
    assert.equal(reasonOf(() => decodeScalar(new Uint8Array(length))), 'evaluation_malformed');
  }
});

test('Ed25519: RFC 8032 §7.1', () => {
  const cases = [
    ['d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', '',
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b'],
    ['3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c', '72',
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00'],
    ['fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025', 'af82',
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a'],
  ];
  for (const [key, message, signature] of cases) {
    const [octets, text, publicKey] = [signature, message, key].map((digits) => hexToBytes(digits));
    assert.ok(verify(octets, text, publicKey));
    for (let bit = 0; bit < 512; bit += 37) {
      const flipped = octets.map((octet, i) => (i === bit >> 3 ? octet ^ (1 << (bit & 7)) : octet));
      assert.ok(!verify(flipped, text, publicKey));
    }
  }
});

test('Ed25519: agrees with the library, and does without its cofactor', () => {
  const { Point } = ed25519;
  for (let i = 0; i < 10; i++) {
    const { secretKey, publicKey } = ed25519.keygen(random(32));
    const message = random(below(200));
    assert.ok(verify(ed25519.sign(message, secretKey), message, publicKey));

    const { scalar } = ed25519.utils.getExtendedPublicKey(secretKey);
    const r = BigInt(1 + below(2 ** 32));
    const encoded = Point.BASE.multiply(r).add(Point.fromHex(ED25519_TORSION_SUBGROUP[1])).toBytes();
    const k = BigInt(`0x${bytesToHex(sha512(concatBytes(encoded, publicKey, message)).reverse())}`) % Point.Fn.ORDER;
    const s = hexToBytes(((r + k * scalar) % Point.Fn.ORDER).toString(16).padStart(64, '0')).reverse();
    const signature = concatBytes(encoded, s);
    assert.ok(ed25519.verify(signature, message, publicKey));
    assert.ok(!verify(signature, message, publicKey));
  }
});

test('encode: different lists never encode alike', () => {
  const seen = new Map();
  for (let i = 0; i < 2000; i++) {
    const parts = Array.from({ length: below(4) }, () => random(below(3)).map((octet) => octet & 1));
    const purpose = ['a', 'b', 'ab'][below(3)];
    const list = JSON.stringify([purpose, ...parts.map(bytesToHex)]);
    const octets = bytesToHex(encode(purpose, ...parts));
    assert.equal(seen.get(octets) ?? list, list);
    seen.set(octets, list);
  }
});

test('u64: all that a number holds', () => {
  for (const number of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
    assert.equal(BigInt(`0x${bytesToHex(u64(number))}`), BigInt(number));
  }
});

test('bucket numbers are the first bits of the locator', () => {
  for (let i = 0; i < 50; i++) {
    const y = random(64);
    const locator = BigInt(`0x${bytesToHex(expand(y, encode('bucket', utf8('phone')), 8))}`);
    for (let bits = 0; bits <= 24; bits++) {
      assert.equal(BigInt(bucketNumber(y, 'phone', bits)), locator >> BigInt(64 - bits));
    }
  }
});

test('JSON: what a reader refuses', () => {
  const outside = ['{"a":NaN}', '[Infinity]', '\ufeff{}', '{} x', '', "{'a':1}"];
  const lone = ['"\\ud800"', '{"\\udc00":1}', '[["\\udfff\\ud800"]]'];
  for (const text of [...outside, ...lone]) assert.throws(() => parseJson(utf8(text)), text);
  assert.throws(() => parseJson(Uint8Array.of(0x22, 0xff, 0x22)));
  assert.throws(() => parseJson(Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22))); // a lone surrogate as octets
  assert.throws(() => parseJson(utf8('{"a":1}').subarray(0, 5)));
  assert.deepEqual(parseJson(utf8(' {"a":"\\ud83d\\ude00","a":[1]} \n')), { a: [1] });
  const deep = 100_000;
  assert.ok(parseJson(utf8('['.repeat(deep) + ']'.repeat(deep))));
});

const sources = new URL('../src/', import.meta.url);
/** The sources without their comments. */
const code = new Map(readdirSync(sources).filter((name) => name.endsWith('.js')).map((name) => [
  name, readFileSync(new URL(name, sources), 'utf8').replace(/\/\*[^]*?\*\/|\/\/.*/g, ''),
]));

test('not_found is built in one place', () => {
  const places = [...code].flatMap(([name, text]) => Array(text.split(/type: *['"]not_found/).length - 1).fill(name));
  assert.deepEqual(places, ['client.js']);
  assert.match(/export function conclude\([^]*?\n}/.exec(code.get('client.js'))[0], /type: 'not_found'/);
  const named = [...code].filter(([, text]) => text.includes('not_found')).map(([name]) => name);
  assert.deepEqual(named.filter((name) => name !== 'result.js'), ['client.js']); // the page shows it, and only shows it
});

test('the steps touch neither network nor clock nor storage, and nothing evaluates text or writes markup', () => {
  const drivers = ['transport.js', 'driver.js', 'worker.js', 'check.js', 'memory.js', 'page.js'];
  const outside = /\bfetch\b|Date\.now|new Date\(\)|localStorage|setTimeout/;
  const evaluating = /\beval\b|new Function|importScripts|console\.|Math\.random/;
  const marking = /innerHTML|outerHTML|document\.write|insertAdjacent/;
  for (const [name, text] of code) {
    if (!drivers.includes(name)) assert.doesNotMatch(text, outside, name);
    assert.doesNotMatch(text, evaluating, name);
    assert.doesNotMatch(text, marking, name);
  }
});
