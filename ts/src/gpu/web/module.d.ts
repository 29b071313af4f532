/** What `npm run build:wasm` writes; declared here, since a checkout without it must compile, too. */
declare module '#wasm/gpu-glue.js' {
  // eslint-disable-next-line @typescript-eslint/consistent-type-imports -- such a declaration cannot import by a relative name
  export const createGlue: () => import('./glue.ts').StartGpuGlue
}
