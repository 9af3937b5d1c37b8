/**
 * Checks [kind, text] a line from standard input with the service at a URL, and writes the verdict of each. A time limit
 * for one answer may be given, in milliseconds.
 */

import { createInterface } from 'node:readline';
import { check } from '../src/driver.js';

const [base, publisherKey, milliseconds] = process.argv.slice(2);
const limit = milliseconds === undefined ? {} : { timeLimit: Number(milliseconds) };
let highest = 0;
const memory = { read: () => highest, write: (release) => (highest = release) };
for await (const line of createInterface({ input: process.stdin })) {
  const [kind, text] = JSON.parse(line);
  const { verdict, datasets } = await check(kind, text, { base, publisherKey, memory, ...limit });
  console.log(JSON.stringify({ verdict, datasets: datasets.map(({ name }) => name) }));
}
