// What the checks of the packed packages share.

/**
 * @typedef {object} Context
 * @property {string} root of the checkout
 * @property {string} tools a folder whose node_modules have what only these checks need
 * @property {string} scratch a folder that goes at the end
 * @property {{ name: string, version: string, exports: Record<string, unknown> }} manifest as committed
 * @property {readonly string[]} tarballs the platform packages, then the package itself
 * @property {() => Promise<void>} publish to the registry of the test
 * @property {() => import('./project.mjs').Project} newProject an empty one, which installs from that registry
 *
 * @typedef {Record<string, (context: Context) => Promise<void>>} Checks
 */

export {}
