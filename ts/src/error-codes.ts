/** Every code an AdasumError can carry, in the order of docs/errors.md. */
export const ERROR_CODES = [
  'ERR_ARGUMENT',
  'ERR_MISMATCH',
  'ERR_PEER_LOST',
  'ERR_TIMEOUT',
  'ERR_ABORTED',
  'ERR_NON_FINITE',
  'ERR_AUTH',
  'ERR_STORE',
  'ERR_ENVIRONMENT',
  'ERR_RANK_TAKEN',
  'ERR_WORLD_SIZE',
  'ERR_CLOSED',
  'ERR_BINDING',
  'ERR_NOT_READY',
  'ERR_UNSUPPORTED',
  'ERR_OPEN_FILES',
  'ERR_OUT_OF_MEMORY',
  'ERR_DEVICE_LOST',
] as const

/** A code that an AdasumError can carry. */
export type ErrorCode = (typeof ERROR_CODES)[number]
