/** Reads [kind, text] a line from standard input, and writes the canonical form or the refusal of each. */

import { createInterface } from 'node:readline';
import { canonical } from '../src/identifier.js';
import { InputError } from '../src/errors.js';

for await (const line of createInterface({ input: process.stdin })) {
  const [kind, text] = JSON.parse(line);
  try {
    console.log(JSON.stringify({ canonical: canonical(kind, text) }));
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    console.log(JSON.stringify({ reason: error.reason }));
  }
}
