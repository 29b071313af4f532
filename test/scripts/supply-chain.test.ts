/** What is said of what the package is made of: answers of registries, and the bill of materials. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'
import { checksumsIn, cratesIn, withCrates } from '../../scripts/lib/sbom.mjs'
import { readAudit, readDeny, readDenyAdvisories } from '../../scripts/lib/supply-chain.mjs'
import { ROOT } from '../_user-folder.ts'

const run = promisify(execFile)
const answer = (status: number | null, output: string, words = '') => ({ status, output, words })

const COUNTS = { metadata: { vulnerabilities: { high: 1, total: 1 } } }

test('npm audit: nothing known, something known, and nobody to ask', (t) => {
  t.deepEqual(readAudit('npm', answer(0, JSON.stringify({ ...COUNTS, vulnerabilities: {} }))), { name: 'npm' })
  const weak = { 'left-pad': { severity: 'high', range: '<2' } }
  t.deepEqual(readAudit('npm', answer(1, JSON.stringify({ ...COUNTS, vulnerabilities: weak }))), {
    name: 'npm',
    problem: 'npm: left-pad <2: high',
  })
  const refused = JSON.stringify({ message: '405 Method Not Allowed', error: { summary: '', detail: '' } })
  t.deepEqual(readAudit('npm', answer(1, refused)), { name: 'npm', missing: '405 Method Not Allowed' })
  t.deepEqual(readAudit('npm', answer(1, '', 'ENOTFOUND')), { name: 'npm', missing: 'ENOTFOUND' })
  t.deepEqual(readAudit('npm', answer(null, '')), { name: 'npm', missing: 'no answer' })
})

test('cargo deny: a refusal is a problem, a database out of reach is none', (t) => {
  t.deepEqual(readDeny('deny', answer(0, '')), { name: 'deny' })
  t.deepEqual(readDeny('deny', answer(4, '', 'error[rejected]: GPL-3.0')), {
    name: 'deny',
    problem: 'error[rejected]: GPL-3.0',
  })
  t.deepEqual(readDeny('deny', answer(null, '', 'ETIMEDOUT')), { name: 'deny', missing: 'ETIMEDOUT' })
  const offline = answer(1, '', 'failed to fetch advisory database https://x.org: Could not resolve host')
  t.regex(readDenyAdvisories('deny', offline).missing ?? '', /^failed to fetch advisory database/)
  const found = readDenyAdvisories('deny', answer(2, '', 'error[vulnerability]: RUSTSEC-2026-0001'))
  t.regex(found.problem ?? '', /RUSTSEC-2026-0001/)
})

test('crates of a tree, each once, with the checksums of the lock file', (t) => {
  const lock = 'name = "libc"\nversion = "0.2.1"\nsource = "registry"\nchecksum = "' + 'ab'.repeat(32) + '"\n'
  const tree = 'own v1.0.0 (/home/me/own)|MIT\nlibc v0.2.1|MIT OR Apache-2.0\n\nlibc v0.2.1|MIT OR Apache-2.0 (*)\n'
  t.deepEqual(cratesIn(tree, checksumsIn(lock)), [
    { name: 'libc', version: '0.2.1', licence: 'MIT OR Apache-2.0', sha256: 'ab'.repeat(32) },
    { name: 'own', version: '1.0.0', licence: 'MIT' },
  ])
})

test('crates stand beside the packages, and the package depends on them', (t) => {
  const bom = {
    metadata: { component: { 'bom-ref': 'me@1', name: 'folder' } },
    components: [{ 'bom-ref': 'a@1' }],
    dependencies: [
      { ref: 'me@1', dependsOn: ['a@1'] },
      { ref: 'a@1', dependsOn: [] },
    ],
  }
  const { components, dependencies, metadata } = withCrates(bom, [
    { name: 'libc', version: '0.2.1', licence: 'MIT/Apache-2.0' },
  ])
  t.deepEqual(components.map((component) => component['bom-ref']), ['a@1', 'pkg:cargo/libc@0.2.1']) // prettier-ignore
  t.like(components[1], { licenses: [{ expression: 'MIT OR Apache-2.0' }], purl: 'pkg:cargo/libc@0.2.1' })
  t.deepEqual(dependencies[0], { ref: 'me@1', dependsOn: ['a@1', 'pkg:cargo/libc@0.2.1'] })
  t.is(dependencies.length, 3)
  t.is(metadata.component.name, 'me')
})

test('the bill of materials has what is published, and nothing that only builds or tests it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'adasum-sbom-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const out = join(folder, 'adasum.cdx.json')
  await run(process.execPath, [join(ROOT, 'scripts', 'sbom.mjs'), '--out', out])
  const bom = JSON.parse(readFileSync(out, 'utf8')) as {
    bomFormat: string
    metadata: { component: { name: string } }
    components: { name: string; purl: string; licenses: unknown[]; hashes?: unknown[] }[]
    dependencies: { ref: string; dependsOn: string[] }[]
  }
  t.deepEqual([bom.bomFormat, bom.metadata.component.name], ['CycloneDX', 'adasum'])
  const names = bom.components.map(({ name }) => name)
  for (const name of ['commander', '@noble/hashes', 'adasum-core', 'napi', 'wasm-bindgen', 'libc'])
    t.true(
      names.some((found) => found === name || `@noble/${found}` === name),
      name,
    )
  for (const name of ['ava', 'eslint', 'proptest', 'criterion', 'libfuzzer-sys', 'wgpu', 'naga'])
    t.false(names.includes(name), name)
  t.is(new Set(bom.components.map(({ purl }) => purl)).size, bom.components.length)
  for (const { name, licenses } of bom.components) t.true(licenses.length > 0, name)
  const refs = new Set(bom.dependencies.map(({ ref }) => ref))
  t.deepEqual(bom.dependencies.flatMap(({ dependsOn }) => dependsOn).filter((ref) => !refs.has(ref)), []) // prettier-ignore
})
