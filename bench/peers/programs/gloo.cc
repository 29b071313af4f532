/*
 * Gloo over its TCP transport: the two algorithms of gloo::allreduce, and the older ones, which are objects over fixed
 * memory and know in place only, so that out of place they come with a copy of the input.
 * PEER_RANK, PEER_SIZE, PEER_STORE (an empty folder for all ranks); the argument is a list of bytes:iterations.
 */
#include <gloo/allreduce.h>
#include <gloo/allreduce_halving_doubling.h>
#include <gloo/allreduce_ring_chunked.h>
#include <gloo/barrier.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/rendezvous/prefix_store.h>
#include <gloo/transport/tcp/device.h>

#include <memory>

#include "measure.h"

namespace {

using Context = std::shared_ptr<gloo::Context>;
using Algorithm = gloo::AllreduceOptions::Algorithm;

/* What is made once for the memory of a case, so that a call only runs it. */
struct Gloo {
  Context context;
  std::unique_ptr<gloo::AllreduceOptions> options;
  std::unique_ptr<gloo::Algorithm> object;
  const char *algorithm;
  const float *in = nullptr;
  float *out = nullptr;
};

void barrier(void *self) {
  gloo::BarrierOptions options(static_cast<Gloo *>(self)->context);
  gloo::barrier(options);
}

template <typename T>
std::unique_ptr<gloo::AllreduceOptions> options_for(const Context &context, Algorithm algorithm, const T *in, T *out,
                                                    size_t count, void (*reduce)(void *, const void *, const void *,
                                                                                 size_t)) {
  auto options = std::make_unique<gloo::AllreduceOptions>(context);
  options->setAlgorithm(algorithm);
  if (in != out) options->setInput(const_cast<T *>(in), count);
  options->setOutput(out, count);
  options->setReduceFunction(reduce);
  return options;
}

void prepare(Gloo &gloo, const float *in, float *out, size_t count) {
  gloo.in = in;
  gloo.out = out;
  gloo.options.reset();
  gloo.object.reset();
  std::string name = gloo.algorithm;
  if (name == "halving-doubling")
    gloo.object.reset(
        new gloo::AllreduceHalvingDoubling<float>(gloo.context, {out}, static_cast<int>(count)));
  else if (name == "ring-chunked")
    gloo.object.reset(new gloo::AllreduceRingChunked<float>(gloo.context, {out}, static_cast<int>(count)));
  else
    gloo.options = options_for(gloo.context, name == "bcube" ? Algorithm::BCUBE : Algorithm::RING, in, out, count,
                               &gloo::sum<float>);
}

void all_reduce(void *self, const float *in, float *out, size_t count) {
  Gloo &gloo = *static_cast<Gloo *>(self);
  // Among the warm-ups: the first call of a case meets its memory.
  if (gloo.in != in || gloo.out != out) prepare(gloo, in, out, count);
  if (gloo.options) return gloo::allreduce(*gloo.options);
  if (in != out) memcpy(out, in, count * sizeof(float));
  gloo.object->run();
}

void largest(void *self, double *numbers, size_t count) {
  auto options = options_for<double>(static_cast<Gloo *>(self)->context, Algorithm::RING, numbers, numbers, count,
                                     &gloo::max<double>);
  gloo::allreduce(*options);
}

size_t count_wrong(void *self, const float *out, size_t count) {
  return count_wrong_sums(out, count, static_cast<Gloo *>(self)->context->size);
}

/* Connections of its own for each case: the older algorithms set a socket's buffers to the size of their messages. */
Context connect(int rank, int size, const std::string &name) {
  gloo::transport::tcp::attr attributes;
  attributes.hostname = "127.0.0.1";
  auto device = gloo::transport::tcp::CreateDevice(attributes);
  gloo::rendezvous::FileStore folder(getenv("PEER_STORE"));
  gloo::rendezvous::PrefixStore store(name, folder);
  auto context = std::make_shared<gloo::rendezvous::Context>(rank, size);
  context->setTimeout(std::chrono::seconds(120));
  context->connectFullMesh(store, device);
  return context;
}

int measure(int rank, int size, const char *algorithm, size_t bytes, int iterations, int in_place) {
  std::string name = std::string(algorithm) + "-" + std::to_string(bytes) + (in_place ? "-in" : "-out");
  Gloo gloo{connect(rank, size, name), nullptr, nullptr, algorithm};
  Library library{"sum", algorithm, rank, size, &gloo, barrier, all_reduce, largest, count_wrong};
  return measure_case(&library, bytes, iterations, in_place);
}

}  // namespace

int main(int argc, char **argv) {
  int rank = number_from("PEER_RANK"), size = number_from("PEER_SIZE");
  const char *cases = argc > 1 ? argv[1] : "";
  size_t bytes;
  int iterations, wrong = 0;
  while (next_case(&cases, &bytes, &iterations)) {
    for (const char *algorithm : {"ring", "bcube", "halving-doubling", "ring-chunked"})
      for (int in_place = 0; in_place < 2; in_place++)
        wrong |= measure(rank, size, algorithm, bytes, iterations, in_place);
  }
  return wrong;
}
