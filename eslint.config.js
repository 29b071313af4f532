import eslint from '@eslint/js'
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

const BROWSER_GLOBALS = [
  'ResizeObserver',
  'URLSearchParams',
  'document',
  'getComputedStyle',
  'location',
  'matchMedia',
  'requestAnimationFrame',
]

// Classes that answer for values of any realm, or that only our own code throws. tfjs decides by what its objects can do, and jax-js has no other mark of an array.
const OWN_ERRORS = ['AdasumError', 'AgreedFailure', 'PipeEnded', 'CommandError', 'CommanderError', 'FormatError']
const IS_OWN_ERROR = `[right.name=/^(${OWN_ERRORS.join('|')})$/], [right.property.name="AgreedFailure"], [right.object.name=/^(tf|jax)$/]`

export default defineConfig(
  globalIgnores(['dist/', 'gpu/', 'native/', 'wasm/', 'target/', 'node_modules/', '.setup/', '.tools/', 'docs/api/']),
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  // A comment that opens with "Of" lacks its subject. (The rule calls everything a warning that it finds in comments.)
  { rules: { 'no-warning-comments': ['error', { terms: ['of'], location: 'start', decoration: ['*', '/'] }] } },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // A forgotten await is a collective that the other ranks wait for.
      '@typescript-eslint/no-floating-promises': 'error',
      // Type imports must vanish at run time: verbatimModuleSyntax keeps whatever is not marked.
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // Numbers belong in messages: a rank, a length, a port.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      // The reason of an AbortSignal and a caught error are passed on as they are, whatever they are.
      '@typescript-eslint/prefer-promise-reject-errors': [
        'error',
        { allowThrowingUnknown: true, allowThrowingAny: true },
      ],
      'no-restricted-properties': [
        'error',
        {
          object: 'AbortSignal',
          property: 'any',
          message: 'Use Limit: Node 20 forgets a timeout that only this holds.',
        },
        {
          object: 't',
          property: 'timeout',
          message: 'One file that hangs later would never be ended: see ava.config.js.',
        },
      ],
      // Off: an implementation of an asynchronous interface may have nothing to wait for.
      '@typescript-eslint/require-await': 'off',
    },
  },
  {
    files: ['ts/src/**/*.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: `BinaryExpression[operator="instanceof"]:not(${IS_OWN_ERROR})`,
          message:
            'A value of another realm (a vm context, as test runners have) is no instance: ask what it is by ArrayBuffer.isView, typedArrayName, dtypeOf, reasonOf, systemCode, or a private field.',
        },
      ],
    },
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    languageOptions: { globals: nodeGlobals() },
  },
  {
    files: ['examples/browser/*.mjs'],
    languageOptions: { globals: Object.fromEntries(BROWSER_GLOBALS.map((name) => [name, 'readonly'])) },
  },
)

// The globals of Node.js that scripts and examples use; a name that is missing here is a misspelling until shown not to be.
function nodeGlobals() {
  const names = ['AbortSignal', 'Buffer', 'URL', 'clearInterval', 'clearTimeout', 'console', 'fetch', 'performance']
  const more = ['process', 'setImmediate', 'setInterval', 'setTimeout', 'structuredClone', 'TextDecoder', 'TextEncoder']
  return Object.fromEntries([...names, ...more].map((name) => [name, 'readonly']))
}
