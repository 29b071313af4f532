/*
 * The floor of shared memory: a sum over ranks that read each other's vectors where they lie, in plain C, with the copies
 * that ours makes, too, and ranks that wait for each other in a loop.
 *
 * Up to DIRECT_BYTES, and for two ranks, everybody adds up all vectors. Otherwise everybody adds up one slice and then
 * copies the results of the others. In place, the result comes about in memory of the rank's own, and is copied once
 * everybody has read the inputs: a rank that fails must leave them as they were.
 * Forks its ranks itself; PEER_SIZE says how many, the argument is a list of bytes:iterations.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_RANKS = 16, MAX_NUMBERS = 1 << 12, DIRECT_BYTES = 32 << 10, SPINS = 1000, LINE = 64 };

/* Of each rank, mapped before the fork: at the same addresses everywhere. */
static char *arenas[MAX_RANKS];
static size_t used;
static int own_rank;

#define PEERS_OWN_MEMORY
/* A stack: what comes last goes first. */
static inline void *allocate(size_t byte_length) {
  size_t size = (byte_length + 2 * LINE - 1) / LINE * LINE;
  char *memory = arenas[own_rank] + used;
  used += size + LINE;
  *(size_t *)memory = size + LINE;
  return memory + LINE;
}

static inline void release(void *memory) { used -= *(size_t *)((char *)memory - LINE); }

#include "measure.h"

/* What a rank tells the others in a call; a line of the cache each. */
typedef struct {
  _Alignas(LINE) atomic_ulong phase;
  const float *in;
  const float *result;
} Slot;

typedef struct {
  pthread_barrier_t barrier;
  double numbers[MAX_RANKS][MAX_NUMBERS];
  Slot slots[MAX_RANKS];
} Shared;

typedef struct {
  int rank, size;
  unsigned long phase;
  Shared *shared;
  /* For a result, in place. */
  float *whole;
} Rank;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

/* Waits until all ranks have come as far; they have then written what they wrote before. */
static void meet(Rank *rank) {
  Slot *slots = rank->shared->slots;
  unsigned long phase = ++rank->phase;
  atomic_store_explicit(&slots[rank->rank].phase, phase, memory_order_release);
  for (int peer = 0; peer < rank->size; peer++)
    for (int spins = 0; atomic_load_explicit(&slots[peer].phase, memory_order_acquire) < phase; spins++)
      if (spins >= SPINS) sched_yield();
}

static size_t slice_begin(size_t count, int size, int rank) { return count * (size_t)rank / (size_t)size; }

/* In rank order, as all sums of this folder are compared. */
static void add_all(const float *const *inputs, int size, size_t count, float *restrict out) {
  if (size == 2) {
    for (size_t i = 0; i < count; i++) out[i] = inputs[0][i] + inputs[1][i];
    return;
  }
  enum { BLOCK = 2048 };
  for (size_t begin = 0; begin < count; begin += BLOCK) {
    size_t end = begin + BLOCK < count ? begin + BLOCK : count;
    float sums[BLOCK];
    for (size_t i = begin; i < end; i++) sums[i - begin] = inputs[0][i] + inputs[1][i];
    for (int rank = 2; rank < size; rank++)
      for (size_t i = begin; i < end; i++) sums[i - begin] += inputs[rank][i];
    memcpy(out + begin, sums, (end - begin) * sizeof(float));
  }
}

static void add_direct(Rank *rank, const float *in, float *out, size_t count) {
  const float *inputs[MAX_RANKS];
  for (int peer = 0; peer < rank->size; peer++) inputs[peer] = rank->shared->slots[peer].in;
  float *target = in == out ? rank->whole : out;
  add_all(inputs, rank->size, count, target);
  meet(rank);
  if (target != out) memcpy(out, target, count * sizeof(float));
}

static void add_slices(Rank *rank, const float *in, float *out, size_t count) {
  Slot *slots = rank->shared->slots;
  const float *inputs[MAX_RANKS];
  size_t begin = slice_begin(count, rank->size, rank->rank), end = slice_begin(count, rank->size, rank->rank + 1);
  for (int peer = 0; peer < rank->size; peer++) inputs[peer] = slots[peer].in + begin;
  float *target = in == out ? rank->whole : out;
  add_all(inputs, rank->size, end - begin, target + begin);
  slots[rank->rank].result = target + begin;
  meet(rank);
  for (int peer = 0; peer < rank->size; peer++) {
    size_t from = slice_begin(count, rank->size, peer), to = slice_begin(count, rank->size, peer + 1);
    if (peer != rank->rank) memcpy(target + from, slots[peer].result, (to - from) * sizeof(float));
  }
  meet(rank);
  if (target != out) memcpy(out, target, count * sizeof(float));
}

static void sum(void *self, const float *in, float *out, size_t count) {
  Rank *rank = self;
  rank->shared->slots[rank->rank].in = in;
  meet(rank);
  int is_direct = rank->size == 2 || count * sizeof(float) <= DIRECT_BYTES;
  (is_direct ? add_direct : add_slices)(rank, in, out, count);
}

static size_t count_wrong(void *self, const float *out, size_t count) {
  return count_wrong_sums(out, count, ((Rank *)self)->size);
}

static void barrier(void *self) { pthread_barrier_wait(&((Rank *)self)->shared->barrier); }

static void largest(void *self, double *numbers, size_t count) {
  Rank *rank = self;
  if (count > MAX_NUMBERS) fail("too many iterations");
  memcpy(rank->shared->numbers[rank->rank], numbers, count * sizeof(double));
  barrier(self);
  for (int peer = 0; peer < rank->size; peer++)
    for (size_t i = 0; i < count; i++) numbers[i] = fmax(numbers[i], rank->shared->numbers[peer][i]);
  barrier(self);
}

static int run_rank(Rank *rank, const char *cases) {
  Library library = {"sum", "plain", rank->rank, rank->size, rank, barrier, sum, largest, count_wrong};
  size_t bytes;
  int iterations, wrong = 0;
  own_rank = rank->rank;
  while (next_case(&cases, &bytes, &iterations)) {
    rank->whole = allocate(bytes);
    for (int in_place = 0; in_place < 2; in_place++) wrong |= measure_case(&library, bytes, iterations, in_place);
    release(rank->whole);
  }
  return wrong;
}

/* Room for the three vectors of the largest case, and what is short. */
static size_t arena_bytes(const char *cases) {
  size_t bytes, most = 0;
  for (int iterations; next_case(&cases, &bytes, &iterations);) most = bytes > most ? bytes : most;
  return 3 * most + (1 << 20);
}

static void *share(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) fail("mmap");
  return memory;
}

int main(int argc, char **argv) {
  int size = number_from("PEER_SIZE"), failed = 0;
  const char *cases = argc > 1 ? argv[1] : "";
  if (size < 2 || size > MAX_RANKS) return 2;
  Shared *shared = share(sizeof *shared);
  pthread_barrierattr_t attributes;
  pthread_barrierattr_init(&attributes);
  pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_barrier_init(&shared->barrier, &attributes, (unsigned)size);
  for (int i = 0; i < size; i++) arenas[i] = share(arena_bytes(cases));
  for (int i = 0; i < size; i++) {
    if (fork() != 0) continue;
    Rank rank = {.rank = i, .size = size, .shared = shared};
    exit(run_rank(&rank, cases));
  }
  for (int status; wait(&status) > 0;) failed |= status != 0;
  return failed;
}
