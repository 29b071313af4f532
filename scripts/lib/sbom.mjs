// Bills of materials in the format CycloneDX. npm writes the one of its packages; crates are added to it here.

/**
 * @typedef {object} Crate
 * @property {string} name
 * @property {string} version
 * @property {string} licence as its manifest has it, an SPDX expression
 * @property {string} [sha256] of what the registry sends; a crate of this repository has none
 *
 * @typedef {Record<string, unknown> & { components: Record<string, unknown>[], dependencies: { ref: string, dependsOn: string[] }[],
 *   metadata: { component: { 'bom-ref': string, name: string } } }} Bom
 */

/**
 * @param {string} tree of `cargo tree --prefix=none --format={p}|{l}`
 * @param {ReadonlyMap<string, string>} checksums by name and version
 * @returns {Crate[]} each once, by name and version
 */
export function cratesIn(tree, checksums) {
  /** @type {Map<string, Crate>} */
  const crates = new Map()
  for (const line of tree.split('\n')) {
    // Behind the version there may be a path, or a remark.
    const [, name, version, licence = ''] = /^(\S+) v(\S+)[^|]*\|(.*?)(?: \(\*\))?$/.exec(line) ?? []
    if (name === undefined || version === undefined) continue
    const sha256 = checksums.get(`${name}@${version}`)
    crates.set(`${name}@${version}`, { name, version, licence, ...(sha256 !== undefined && { sha256 }) })
  }
  return [...crates].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, crate]) => crate)
}

/**
 * @param {string} lock Cargo.lock
 * @returns {Map<string, string>} SHA-256 by name and version
 */
export function checksumsIn(lock) {
  const entry = /name = "([^"]+)"\nversion = "([^"]+)"\nsource = "[^"]+"\nchecksum = "([0-9a-f]{64})"/g
  return new Map([...lock.matchAll(entry)].map(([, name, version, sha256]) => [`${name}@${version}`, sha256 ?? '']))
}

/**
 * @param {Bom} bom of npm
 * @param {readonly Crate[]} crates
 * @returns {Bom}
 */
export function withCrates(bom, crates) {
  const components = crates.map(componentOf)
  const refs = components.map((component) => component['bom-ref'])
  const { component } = bom.metadata
  const own = component['bom-ref']
  const dependencies = bom.dependencies.map((entry) =>
    entry.ref === own ? { ...entry, dependsOn: [...entry.dependsOn, ...refs] } : entry,
  )
  return {
    ...bom,
    // npm calls the package by the folder that it lies in.
    metadata: { ...bom.metadata, component: { ...component, name: own.slice(0, own.lastIndexOf('@')) } },
    components: [...bom.components, ...components],
    dependencies: [...dependencies, ...refs.map((ref) => ({ ref, dependsOn: [] }))],
  }
}

/** @param {Crate} crate */
function componentOf({ name, version, licence, sha256 }) {
  const purl = `pkg:cargo/${name}@${version}`
  return {
    'bom-ref': purl,
    type: 'library',
    ...{ name, version, purl, scope: 'required' },
    // Some manifests still have the old form.
    licenses: [{ expression: licence.replaceAll('/', ' OR ') }],
    ...(sha256 !== undefined && { hashes: [{ alg: 'SHA-256', content: sha256 }] }),
  }
}
