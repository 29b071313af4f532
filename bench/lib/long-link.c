// Carries packets between network namespaces as a long link does: each host sends at a rate, every packet arrives after a
// delay, and some are lost. For machines whose kernel cannot do that by itself (tc netem), and the same on all.
//
//   long-link <megabits a second> <delay in ms> <loss in percent> <namespace>...
//
// Makes a TUN device `link0` in each namespace. Host i is expected to have the address a.b.c.(i + 1): packets go by the last
// number of their destination. Prints a line once the devices are there, and runs until it is killed.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { MOST_HOSTS = 64, PACKET_BYTES = 2048, QUEUE_PACKETS = 1 << 16 };
// What would wait longer for its turn to be sent is dropped, as by a router whose buffer is full.
static const int64_t MOST_WAIT_NS = 200 * 1000000LL;

struct packet {
  int64_t due_ns;
  int length;
  uint8_t bytes[PACKET_BYTES];
};

// What one host has sent and has not arrived, in order.
struct host {
  int device;
  int64_t busy_until_ns;
  uint32_t head, tail;
  struct packet *queue;
};

static struct host hosts[MOST_HOSTS];
static int host_count;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int open_device(const char *namespace) {
  char path[256];
  snprintf(path, sizeof path, "/var/run/netns/%s", namespace);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0 || setns(file, CLONE_NEWNET) < 0) fail(path);
  close(file);
  int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  struct ifreq request;
  memset(&request, 0, sizeof request);
  strcpy(request.ifr_name, "link0");
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (device < 0 || ioctl(device, TUNSETIFF, &request) < 0) fail("/dev/net/tun");
  return device;
}

// xorshift64*: the same packets are lost in every run that sends the same.
static int is_lost(double loss) {
  static uint64_t state = 88172645463325252ULL;
  state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
  return (double)((state * 2685821657736338717ULL) >> 11) / (1ULL << 53) < loss;
}

static void take(struct host *from, double bits_a_ns, int64_t delay_ns, double loss) {
  for (;;) {
    struct packet *packet = &from->queue[from->head % QUEUE_PACKETS];
    if (from->head - from->tail == QUEUE_PACKETS) return;
    packet->length = (int)read(from->device, packet->bytes, PACKET_BYTES);
    if (packet->length <= 0) return;
    int64_t now = now_ns();
    int64_t begin = from->busy_until_ns > now ? from->busy_until_ns : now;
    if (begin - now > MOST_WAIT_NS || is_lost(loss)) continue;
    from->busy_until_ns = begin + (int64_t)(packet->length * 8 / bits_a_ns);
    packet->due_ns = from->busy_until_ns + delay_ns;
    from->head++;
  }
}

static void deliver(struct host *from, int64_t now) {
  for (; from->tail != from->head; from->tail++) {
    struct packet *packet = &from->queue[from->tail % QUEUE_PACKETS];
    if (packet->due_ns > now) return;
    // IPv4 only: what else a kernel sends on a new device goes nowhere.
    int to = packet->length >= 20 && packet->bytes[0] >> 4 == 4 ? packet->bytes[19] - 1 : -1;
    if (to < 0 || to >= host_count) continue;
    if (write(hosts[to].device, packet->bytes, packet->length) < 0 && errno != EAGAIN && errno != EIO) fail("write");
  }
}

int main(int count, char **arguments) {
  if (count < 6 || count - 4 > MOST_HOSTS) return fprintf(stderr, "usage: long-link mbits delay-ms loss-percent ns...\n"), 2;
  double bits_a_ns = atof(arguments[1]) / 1000, loss = atof(arguments[3]) / 100;
  int64_t delay_ns = (int64_t)(atof(arguments[2]) * 1e6);
  struct pollfd polled[MOST_HOSTS];
  host_count = count - 4;
  for (int i = 0; i < host_count; i++) {
    hosts[i].device = open_device(arguments[4 + i]);
    hosts[i].queue = malloc(sizeof(struct packet) * QUEUE_PACKETS);
    if (!hosts[i].queue) fail("memory");
    polled[i] = (struct pollfd){.fd = hosts[i].device, .events = POLLIN};
  }
  printf("ready\n");
  fflush(stdout);
  for (;;) {
    int64_t now = now_ns(), next = now + 1000000000LL;
    for (int i = 0; i < host_count; i++) {
      deliver(&hosts[i], now);
      if (hosts[i].tail == hosts[i].head) continue;
      int64_t due = hosts[i].queue[hosts[i].tail % QUEUE_PACKETS].due_ns;
      if (due < next) next = due;
    }
    int64_t wait = next > now ? next - now : 0;
    struct timespec limit = {.tv_sec = wait / 1000000000LL, .tv_nsec = wait % 1000000000LL};
    if (ppoll(polled, host_count, &limit, NULL) < 0 && errno != EINTR) fail("ppoll");
    for (int i = 0; i < host_count; i++) take(&hosts[i], bits_a_ns, delay_ns, loss);
  }
}
