/**
 * The reader of JSON behind files, beside JSON.parse: what it takes, that takes as well, and as the same. Choice: what is
 * expected.
 */
import { isDeepStrictEqual } from 'node:util'
import { FormatError, JsonReader } from '../../../ts/src/checkpoint/json-reader.ts'
import { foreignRefusal, inputOf, ensure, type Target } from '../_target.ts'

const isFormatError = (error: unknown): boolean => error instanceof FormatError

/** Reads what is expected, and says what JSON.parse should make of the same text; undefined: anything. */
const EXPECTATIONS: readonly ((reader: JsonReader) => unknown)[] = [
  (reader) => reader.skip(),
  (reader) => {
    const members: [string, string][] = []
    reader.object((name) => members.push([name, reader.string()]))
    // JSON.parse would keep the last one without a word.
    ensure(new Set(members.map(([name]) => name)).size === members.length, 'it reads a name twice')
    return Object.fromEntries(members)
  },
  (reader) => {
    const numbers: number[] = []
    reader.array(() => numbers.push(reader.integer()))
    return numbers
  },
]

const TEXTS = [
  ' [1, -0.5e-7, true, false, null, [], {}, ["\\\\", "\\\\\\"", ""], {"a": {"a": [[[0]]]}}] ',
  '{"layer\\"1": "a.safetensors", "\\u00e9": "\\ud83d\\ude00", "__proto__": "b"}',
  '[0, 9007199254740991, 12]',
]

export const json: Target = {
  name: 'json',
  share: 20,
  largest: 2048,
  seeds: () => TEXTS.map((text, choice) => inputOf([choice], text)),
  words: ['"', '\\"', '\\\\', '\\u0041', '\\ud800', '[[[[[[[[', '{"a":', 'null', ',', ':', '\t', '\u00a0', '\ufeff'],
  run(input) {
    const text = Buffer.from(input.subarray(1)).toString('utf8')
    const reader = new JsonReader(text, 'it')
    let expected: unknown
    try {
      expected = EXPECTATIONS[(input[0] ?? 0) % EXPECTATIONS.length]!(reader)
      reader.end()
    } catch (error) {
      return foreignRefusal(error, isFormatError)
    }
    const value = parsed(text)
    const isSame = expected === undefined || isDeepStrictEqual(value, expected)
    ensure(isSame, () => `it reads ${JSON.stringify(expected)}, JSON.parse ${JSON.stringify(value)}`)
    return true
  },
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return ensure(false, 'it takes what is no JSON')
  }
}
