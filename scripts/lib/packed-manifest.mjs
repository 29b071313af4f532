// What the manifest of the packed package says otherwise than the committed one: platform packages as optional
// dependencies, and nothing that only a checkout needs.

/**
 * @typedef {object} Manifest
 * @property {string} name
 * @property {string} version
 * @property {Record<string, unknown>} exports
 * @property {Record<string, unknown>} imports
 *
 * @typedef {Record<string, unknown> & Manifest} AnyManifest
 */

/** Fields for those who build the package, not for those who install it. */
const ONLY_IN_CHECKOUT = ['scripts', 'devDependencies', 'overrides', 'napi', 'files']
/** The export condition under which tests run the sources. */
const SOURCE_CONDITION = 'adasum-source'

/**
 * @param {AnyManifest} manifest as committed
 * @param {readonly string[]} platforms as in `linux-x64-gnu`, whose packages are published with it
 * @returns {AnyManifest}
 */
export function packedManifest(manifest, platforms) {
  const kept = Object.entries(manifest).filter(([field]) => !ONLY_IN_CHECKOUT.includes(field))
  const packages = platforms.toSorted().map((platform) => [`${manifest.name}-${platform}`, manifest.version])
  return {
    .../** @type {AnyManifest} */ (Object.fromEntries(kept)),
    exports: /** @type {Record<string, unknown>} */ (withoutSources(manifest.exports)),
    // Exactly this version: the addon and the package check each other's contract.
    optionalDependencies: Object.fromEntries(packages),
  }
}

/**
 * @param {unknown} entry of `exports`, at any depth
 * @returns {unknown}
 */
function withoutSources(entry) {
  if (typeof entry !== 'object' || entry === null) return entry
  const kept = Object.entries(entry).filter(([condition]) => condition !== SOURCE_CONDITION)
  return Object.fromEntries(kept.map(([condition, value]) => [condition, withoutSources(value)]))
}
