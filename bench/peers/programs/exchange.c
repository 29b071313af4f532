/*
 * The floor: what an all-reduce must move, moved without arithmetic by plain send and recv on loopback.
 *
 * Up to DIRECT_BYTES, and for two ranks, everybody sends its vector to everybody. Otherwise two rounds: everybody sends
 * each other rank the slice that is that rank's, then its own slice to all, together 2 (n - 1) / n of the vector.
 * Forks its ranks itself; PEER_SIZE says how many, the argument is a list of bytes:iterations.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

enum { MAX_RANKS = 16, MAX_NUMBERS = 1 << 12, DIRECT_BYTES = 32 << 10 };

typedef struct {
  pthread_barrier_t barrier;
  double numbers[MAX_RANKS][MAX_NUMBERS];
} Shared;

typedef struct {
  int rank, size;
  int sockets[MAX_RANKS];
  Shared *shared;
  char *scratch;
} Rank;

typedef struct {
  const char *send;
  char *receive;
  size_t to_send, to_receive;
} Part;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

/* One step of one connection in one direction each; what does not fit now is left for the next poll. */
static void advance(int socket, Part *part) {
  if (part->to_send > 0) {
    ssize_t sent = send(socket, part->send, part->to_send, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) fail("send");
    if (sent > 0) part->send += sent, part->to_send -= (size_t)sent;
  }
  if (part->to_receive > 0) {
    ssize_t received = recv(socket, part->receive, part->to_receive, 0);
    if (received == 0 || (received < 0 && errno != EAGAIN)) fail("recv");
    if (received > 0) part->receive += received, part->to_receive -= (size_t)received;
  }
}

static void run_round(Rank *rank, Part *parts) {
  for (;;) {
    struct pollfd polled[MAX_RANKS];
    int count = 0;
    for (int peer = 0; peer < rank->size; peer++) {
      Part *part = &parts[peer];
      if (peer == rank->rank) continue;
      advance(rank->sockets[peer], part);
      short events = (short)((part->to_send ? POLLOUT : 0) | (part->to_receive ? POLLIN : 0));
      if (events == 0) continue;
      polled[count++] = (struct pollfd){.fd = rank->sockets[peer], .events = events};
    }
    if (count == 0) return;
    if (poll(polled, (nfds_t)count, -1) < 0) fail("poll");
  }
}

static size_t slice_begin(size_t bytes, int size, int rank) { return bytes / 4 * (size_t)rank / (size_t)size * 4; }

static size_t slice_length(size_t bytes, int size, int rank) {
  return slice_begin(bytes, size, rank + 1) - slice_begin(bytes, size, rank);
}

static int is_direct(size_t bytes, int size) { return size == 2 || bytes <= DIRECT_BYTES; }

static void exchange(void *self, const float *in, float *out, size_t count) {
  Rank *rank = self;
  size_t bytes = count * sizeof(float);
  int direct = is_direct(bytes, rank->size), mine = rank->rank;
  size_t own = slice_length(bytes, rank->size, mine);
  Part parts[MAX_RANKS];
  for (int peer = 0; peer < rank->size; peer++) {
    const char *send = (const char *)in + (direct ? 0 : slice_begin(bytes, rank->size, peer));
    size_t length = direct ? bytes : slice_length(bytes, rank->size, peer), room = direct ? bytes : own;
    parts[peer] = (Part){send, rank->scratch + room * (size_t)peer, length, room};
  }
  run_round(rank, parts);
  if (direct) return;
  for (int peer = 0; peer < rank->size; peer++) {
    size_t begin = slice_begin(bytes, rank->size, peer), length = slice_length(bytes, rank->size, peer);
    parts[peer] = (Part){(const char *)in + slice_begin(bytes, rank->size, mine), (char *)out + begin, own, length};
  }
  run_round(rank, parts);
}

/* What the last round has brought: all others' vectors, or all others' own slices. */
static size_t count_wrong(void *self, const float *out, size_t count) {
  Rank *rank = self;
  size_t bytes = count * sizeof(float), wrong = 0;
  int direct = is_direct(bytes, rank->size);
  for (int peer = 0; peer < rank->size; peer++) {
    if (peer == rank->rank) continue;
    size_t begin = direct ? 0 : slice_begin(bytes, rank->size, peer) / 4;
    size_t length = direct ? count : slice_length(bytes, rank->size, peer) / 4;
    const float *got = direct ? (const float *)(rank->scratch + bytes * (size_t)peer) : out + begin;
    for (size_t i = 0; i < length; i++) wrong += got[i] != input_of(peer, begin + i);
  }
  return wrong;
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

static int open_socket(void) {
  int made = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  if (made < 0 || setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0) fail("socket");
  return made;
}

/* Both ends of one connection over loopback. */
static void connect_pair(int listener, int ends[2]) {
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  ends[0] = open_socket();
  if (getsockname(listener, (struct sockaddr *)&address, &length) != 0) fail("getsockname");
  if (connect(ends[0], (struct sockaddr *)&address, length) != 0) fail("connect");
  ends[1] = accept(listener, NULL, NULL);
  int yes = 1;
  if (ends[1] < 0 || setsockopt(ends[1], IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0) fail("accept");
  for (int i = 0; i < 2; i++) fcntl(ends[i], F_SETFL, O_NONBLOCK);
}

static void connect_all(int size, int sockets[MAX_RANKS][MAX_RANKS]) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int listener = open_socket();
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 16) != 0) fail("listen");
  for (int low = 0; low < size; low++) {
    for (int high = low + 1; high < size; high++) {
      int ends[2];
      connect_pair(listener, ends);
      sockets[low][high] = ends[0];
      sockets[high][low] = ends[1];
    }
  }
  close(listener);
}

static int run_rank(Rank *rank, const char *cases) {
  Library library = {"exchange", "plain", rank->rank, rank->size, rank, barrier, exchange, largest, count_wrong};
  size_t bytes;
  int iterations, wrong = 0;
  while (next_case(&cases, &bytes, &iterations)) {
    size_t room = is_direct(bytes, rank->size) ? bytes * (size_t)rank->size : bytes + 4 * MAX_RANKS * MAX_RANKS;
    rank->scratch = allocate(room);
    memset(rank->scratch, 0, room);
    wrong |= measure_case(&library, bytes, iterations, 0);
    free(rank->scratch);
  }
  return wrong;
}

int main(int argc, char **argv) {
  int size = number_from("PEER_SIZE"), sockets[MAX_RANKS][MAX_RANKS], failed = 0;
  if (size < 2 || size > MAX_RANKS) return 2;
  Shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) fail("mmap");
  pthread_barrierattr_t attributes;
  pthread_barrierattr_init(&attributes);
  pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_barrier_init(&shared->barrier, &attributes, (unsigned)size);
  connect_all(size, sockets);
  for (int i = 0; i < size; i++) {
    if (fork() != 0) continue;
    Rank rank = {.rank = i, .size = size, .shared = shared};
    memcpy(rank.sockets, sockets[i], sizeof sockets[i]);
    exit(run_rank(&rank, argc > 1 ? argv[1] : ""));
  }
  for (int status; wait(&status) > 0;) failed |= status != 0;
  return failed;
}
