/**
 * Bundles the scripts into ../static/dist: content-hashed names, compressed copies beside, and assets.json, which maps
 * an entry's name to its file and integrity. Run by scripts/build_web.py, which installs what it needs.
 */

import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const ENTRIES = ['src/page.js', 'src/worker.js'];
const OUT = fileURLToPath(new URL('../static/dist/', import.meta.url));

/** A text in quotes, and whatever is joined to it. */
const TEXT = /'[^'\n]*'|"[^"\n]*"|`[^`]*`/.source;
const ERROR = new RegExp(`new (\\w*Error)\\((?:${TEXT})(?:\\s*\\+\\s*(?:${TEXT}|[\\w.]+))*\\)`, 'g');

/** Leaves out the texts of the library's errors: the page shows none of them, and they are 1.4 kB of the script. */
const withoutErrorTexts = {
  name: 'without-error-texts',
  setup({ onLoad }) {
    onLoad({ filter: /@noble[/\\].*\.js$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replace(ERROR, 'new $1()'),
    }));
  },
};

/** Return name, file name and octets of every bundle. */
export async function bundles() {
  const { outputFiles, metafile } = await build({
    absWorkingDir: fileURLToPath(new URL('.', import.meta.url)),
    entryPoints: ENTRIES,
    entryNames: '[name]-[hash]',
    outdir: OUT,
    bundle: true,
    format: 'esm', // the worker exports nothing, so that its file is a classic script as well
    target: ['chrome71', 'firefox68', 'safari14.1'], // about the first with what a check cannot do without: BigInt
    minify: true,
    charset: 'utf8',
    metafile: true,
    plugins: [withoutErrorTexts],
    write: false,
  });
  const entryPoints = Object.entries(metafile.outputs).map(([path, { entryPoint }]) => [basename(path), entryPoint]);
  const names = new Map(entryPoints);
  return outputFiles.map(({ path, contents }) => {
    const file = basename(path);
    return { name: basename(names.get(file)), file, contents };
  });
}

async function main() {
  const made = await bundles();
  mkdirSync(OUT, { recursive: true });
  const assets = {};
  const written = new Set(['assets.json']);
  const write = (file, octets) => {
    writeFileSync(`${OUT}${file}.part`, octets);
    renameSync(`${OUT}${file}.part`, OUT + file); // whoever reads meanwhile finds the old file or the new one
    written.add(file);
  };
  for (const { name, file, contents } of made) {
    const best = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } };
    const [gz, br] = [gzipSync(contents, { level: 9 }), brotliCompressSync(contents, best)];
    write(file, contents);
    write(`${file}.gz`, gz);
    write(`${file}.br`, br);
    assets[name] = { file, integrity: `sha384-${createHash('sha384').update(contents).digest('base64')}` };
    console.log(`${file}: ${contents.length} octets, ${gz.length} with gzip, ${br.length} with brotli`);
  }
  write('assets.json', `${JSON.stringify(assets, null, 2)}\n`);
  for (const file of readdirSync(OUT)) if (!written.has(file)) rmSync(OUT + file);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
