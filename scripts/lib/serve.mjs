// A server on loopback that gives a browser this checkout's files.

import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'

/** @type {Record<string, string>} */
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
}

const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
}

/**
 * Serves folders of the checkout on loopback.
 *
 * @param {string} root
 * @param {{ folders: readonly string[], files?: ReadonlyMap<string, string>, isIsolated?: boolean, port?: number }} options
 *   `folders`: what may be read, such as `/wasm/`; `files`: texts by path, such as `/index.html`, that lie nowhere;
 *   `isIsolated`: with the headers that make pages cross-origin isolated
 */
export async function serve(root, { folders, files = new Map(), isIsolated = false, port = 0 }) {
  const server = createServer((request, response) => {
    // No file that is served has a name that would have to be escaped.
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    const path = normalize(pathname).replaceAll('\\', '/')
    const made = files.get(path)
    const isOpen = folders.some((folder) => path.startsWith(folder))
    const content = made !== undefined ? Promise.resolve(made) : isOpen ? readFile(join(root, path)) : Promise.reject()
    content.then(
      (body) => {
        const type = TYPES[extname(path)] ?? 'application/octet-stream'
        response.writeHead(200, { 'Content-Type': type, 'Cache-Control': 'no-store', ...(isIsolated ? ISOLATION : {}) })
        response.end(body)
      },
      () => {
        response.writeHead(404, { 'Content-Type': 'text/plain' })
        response.end(`There is no ${path} here.\n`)
      },
    )
  })
  await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)))
  const address = /** @type {import('node:net').AddressInfo} */ (server.address())
  return { url: `http://127.0.0.1:${address.port}`, close: () => server.close().closeAllConnections() }
}
