/*
 * What the compiled programs share: inputs, the definition of a time, the check, and the line that is printed.
 *
 * A time is that of the slowest rank, from a barrier to the end of the call, as in `adasum bench`; the median is the
 * same element of the sorted times. In place, the input is put back before the barrier, outside the time.
 */
#ifndef PEERS_MEASURE_H
#define PEERS_MEASURE_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WARM_UPS = 3, FEWEST_ITERATIONS = 20, LONGEST_CASE_US = 2000000 };

/* How one library does what the benchmark needs; `self` is handed to every function. */
typedef struct {
  const char *op;
  const char *algorithm;
  int rank;
  int size;
  void *self;
  void (*barrier)(void *self);
  /* The collective; in place if `in` is `out`. */
  void (*call)(void *self, const float *in, float *out, size_t count);
  /* Each number becomes the largest of all ranks'. */
  void (*largest)(void *self, double *numbers, size_t count);
  /* How many elements of what the last call has left are wrong. */
  size_t (*count_wrong)(void *self, const float *out, size_t count);
} Library;

/* A program whose ranks read each other's vectors brings an allocate and a release of its own. */
#ifndef PEERS_OWN_MEMORY
static inline void *allocate(size_t byte_length) {
  void *memory = NULL;
  if (posix_memalign(&memory, 64, byte_length ? byte_length : 64) != 0) abort();
  return memory;
}

static inline void release(void *memory) { free(memory); }
#endif

/* A hash of the index, so that every element can be checked without the others. */
static inline float input_of(int rank, size_t index) {
  uint32_t hash = (uint32_t)index * 2654435761u + (uint32_t)rank * 519011839u;
  return (float)(hash / 4294967296.0 - 0.4);
}

static inline void fill(float *data, size_t count, int rank) {
  for (size_t i = 0; i < count; i++) data[i] = input_of(rank, i);
}

/* Against sums in f64; whatever the order of the additions, an f32 sum is within this bound. */
static inline size_t count_wrong_sums(const float *out, size_t count, int size) {
  size_t wrong = 0;
  for (size_t i = 0; i < count; i++) {
    double sum = 0, magnitude = 0;
    for (int rank = 0; rank < size; rank++) {
      sum += input_of(rank, i);
      magnitude += fabs(input_of(rank, i));
    }
    wrong += !(fabs(out[i] - sum) <= size * 0x1p-24 * magnitude);
  }
  return wrong;
}

static inline double now_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e6 + time.tv_nsec * 1e-3;
}

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static inline void print_case(const Library *library, size_t bytes, int in_place, double p50_us, double wrong) {
  printf("{\"op\":\"%s\",\"n\":%d,\"bytes\":%zu,\"inPlace\":%s,\"p50Us\":%.2f,\"wrong\":%.0f,\"algorithm\":\"%s\"}\n",
         library->op, library->size, bytes, in_place ? "true" : "false", p50_us, wrong, library->algorithm);
  fflush(stdout);
}

/* One call from a barrier on, in microseconds, as this rank sees it. */
static inline double time_call(const Library *library, const float *input, float *out, size_t count, int in_place) {
  if (in_place) memcpy(out, input, count * sizeof(float));
  library->barrier(library->self);
  double begin = now_us();
  library->call(library->self, in_place ? out : input, out, count);
  return now_us() - begin;
}

/* Warms up, and cuts the iterations of a case that would take all day: every rank to the same number. */
static inline int warm_up(const Library *library, const float *input, float *out, size_t count, int in_place,
                          int iterations) {
  double us = 0;
  for (int i = 0; i < WARM_UPS; i++) us = time_call(library, input, out, count, in_place);
  library->largest(library->self, &us, 1);
  int affordable = (int)fmin(LONGEST_CASE_US / us, iterations);
  return affordable > FEWEST_ITERATIONS ? affordable : iterations < FEWEST_ITERATIONS ? iterations : FEWEST_ITERATIONS;
}

/* Times one case and prints it on rank 0; returns 1 if an element was wrong on any rank. */
static inline int measure_case(const Library *library, size_t bytes, int iterations, int in_place) {
  size_t count = bytes / sizeof(float);
  float *input = (float *)allocate(bytes), *out = (float *)allocate(bytes);
  double *numbers = (double *)allocate((iterations + 1) * sizeof(double));
  fill(input, count, library->rank);
  memset(out, 0, bytes);
  iterations = warm_up(library, input, out, count, in_place, iterations);
  for (int i = 0; i < iterations; i++) numbers[i] = time_call(library, input, out, count, in_place);
  numbers[iterations] = (double)library->count_wrong(library->self, out, count);
  library->largest(library->self, numbers, iterations + 1);
  double wrong = numbers[iterations];
  qsort(numbers, iterations, sizeof(double), compare_doubles);
  if (library->rank == 0) print_case(library, bytes, in_place, numbers[iterations / 2], wrong);
  release(numbers);
  release(out);
  release(input);
  return wrong > 0;
}

/* Reads the next of "bytes:iterations,bytes:iterations"; returns 0 at the end. */
static inline int next_case(const char **list, size_t *bytes, int *iterations) {
  int length = 0;
  if (sscanf(*list, "%zu:%d%n", bytes, iterations, &length) != 2) return 0;
  *list += length + ((*list)[length] == ',');
  return 1;
}

static inline int number_from(const char *name) {
  const char *text = getenv(name);
  if (text == NULL) {
    fprintf(stderr, "%s is not set: start this through bench/peers/main.mjs\n", name);
    exit(2);
  }
  return atoi(text);
}

#endif
