#!/usr/bin/env node
// Writes what the published packages are made of, as one CycloneDX file: the npm packages that come with them at installation, and the
// crates that are linked into the addons and the WebAssembly modules.
//
//   node scripts/sbom.mjs [--out packed/adasum.cdx.json]

import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { checksumsIn, cratesIn, withCrates } from './lib/sbom.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { values } = parseArgs({ options: { out: { type: 'string', default: join('packed', 'adasum.cdx.json') } } })

/** Those whose code is in what is published. */
const PUBLISHED_CRATES = ['adasum-node', 'adasum-wasm', 'adasum-gpu-wasm']
const NPM_SBOM = ['sbom', '--sbom-format=cyclonedx', '--sbom-type=library', '--omit=dev', '--package-lock-only']
const CARGO_TREE = ['tree', '--locked', '--edges=normal', '--target=all', '--prefix=none', '--format={p}|{l}']

/** @param {string} command @param {readonly string[]} args */
const ask = (command, args) => execFileSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 })

const lock = readFileSync(join(root, 'Cargo.lock'), 'utf8')
const trees = PUBLISHED_CRATES.map((crate) => ask('cargo', [...CARGO_TREE, `--package=${crate}`]))
const bom = withCrates(JSON.parse(ask('npm', NPM_SBOM)), cratesIn(trees.join('\n'), checksumsIn(lock)))
const out = resolve(root, values.out)
mkdirSync(dirname(out), { recursive: true })
writeFileSync(out, `${JSON.stringify(bom, null, 2)}\n`)
console.log(out)
