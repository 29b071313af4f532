/* MPI_Allreduce, out of place and in place. Started by mpirun with a list of bytes:iterations. */
#include <mpi.h>

#include "measure.h"

static void barrier(void *self) {
  (void)self;
  MPI_Barrier(MPI_COMM_WORLD);
}

static void all_reduce(void *self, const float *in, float *out, size_t count) {
  (void)self;
  MPI_Allreduce(in == out ? MPI_IN_PLACE : in, out, (int)count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

static void largest(void *self, double *numbers, size_t count) {
  (void)self;
  MPI_Allreduce(MPI_IN_PLACE, numbers, (int)count, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
}

static size_t count_wrong(void *self, const float *out, size_t count) {
  return count_wrong_sums(out, count, ((Library *)self)->size);
}

int main(int argc, char **argv) {
  Library library = {.op = "sum",
                     .algorithm = "default",
                     .barrier = barrier,
                     .call = all_reduce,
                     .largest = largest,
                     .count_wrong = count_wrong};
  library.self = &library;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &library.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &library.size);
  const char *cases = argc > 1 ? argv[1] : "";
  size_t bytes;
  int iterations, wrong = 0;
  while (next_case(&cases, &bytes, &iterations))
    for (int in_place = 0; in_place < 2; in_place++) wrong |= measure_case(&library, bytes, iterations, in_place);
  MPI_Finalize();
  return wrong;
}
