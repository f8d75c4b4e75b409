/* net: a network frontend (public/io/netif.h) that measures, with ARP, IPv4 and UDP of its own. Its command line is one of
 *   mode=stream ip=A peer=A size=1500 count=N rounds=N window=128
 *       sends N frames of `size` bytes of IPv4 to a sink, at most `window` ahead of it (0: as fast as it can)
 *   mode=ping ip=A peer=A size=56 count=N rounds=N
 *       sends `size` bytes to an echo and waits until they are back, N times
 *   mode=sink ip=A, mode=echo ip=A
 *       are there for others, until xl shutdown; every mode answers ARP and UDP's echo port, so a sink may be pinged
 * Each round prints a line: "net: sent N frames of N bytes: N frames/s, N Mbit/s, N arrived" (the rate is that of their arrival,
 * by the sink's clock), or "net: N round trips of N bytes: median N ns, 99% N ns, N lost". With verify=1, on both sides, each
 * byte that comes is compared. From the ABI alone: it runs on real Xen too. `npm run bench -- net` reads what it prints. */
#include "net.h"

#include <xen/sched.h>

#define MAX_PINGS 10000
#define BURST 32 /* frames, before the backend is told */
#define SECOND 1000000000ul
#define PATIENCE (SECOND / 20) /* until what had no answer is said again */
#define MAX_TRIES 60
#define IP_UDP_HEADERS 28
#define MAX_SIZE 4000

/* What the bench port's datagrams begin with. */
struct message {
  uint16_t kind, window;
  uint32_t round;
  uint64_t number;          /* DATA: of the frame, from 0; ACK: frames up to there have come; REPORT: frames; PING: of the ping */
  uint64_t duration, wrong; /* REPORT: from the first frame to the last, ns; frames that weren't as sent */
};
enum { DATA = 1, ACK, END, REPORT, PING };

static uint32_t peer, size;
static uint16_t window;
static int verifies;
static uint64_t acknowledged;
static struct message report; /* the sink's of this round, or the one that the streamer has got */
static uint64_t pinged;       /* number of the last ping that came back, plus 1 */

static uint8_t pattern(const struct message *m, uint32_t i) { return (uint8_t)(m->number * 7 + m->round + i); }

static void serve(uint64_t until) {
  if (!net_poll()) net_sleep(until);
}

/* Waits for a page to send from. */
static struct message *payload(void) {
  uint8_t *at;
  while ((at = udp_payload()) == 0) {
    net_flush();
    serve(0);
  }
  return (struct message *)at;
}

static int is_right(const struct message *m, const uint8_t *bytes, uint32_t n) {
  for (uint32_t i = sizeof *m; verifies && i < n; i++)
    if (bytes[i] != pattern(m, i)) return 0;
  return 1;
}

static void make(struct message *to, struct message m, uint32_t n) {
  *to = m;
  for (uint32_t i = sizeof m; verifies && i < n; i++) ((uint8_t *)to)[i] = pattern(&m, i);
}

static uint64_t first, timed; /* the time of the round's first frame; how many frames have been timed */

/* Reading the clock costs as much as a frame does: once for all that have come together. */
static void time_frames(void) {
  if (report.number != timed) report.duration = system_time() - first;
  timed = report.number;
}

/* Non-zero: an answer is due. */
static int sink(const struct message *m, const uint8_t *bytes, uint32_t n) {
  if (m->round != report.round || report.kind == 0) {
    report = (struct message){.kind = REPORT, .round = m->round};
    first = system_time();
    timed = 0;
  }
  if (m->kind == END) {
    time_frames();
    return 1;
  }
  report.number++;
  report.wrong += !is_right(m, bytes, n);
  return m->window > 0 && (m->number + 1) % (m->window / 4u + 1) == 0;
}

void udp_receive(uint32_t from, uint16_t port, const uint8_t *bytes, uint32_t n) {
  struct message m;
  if (port != UDP_BENCH || n < sizeof m) return;
  memcpy(&m, bytes, sizeof m);
  if (m.kind == PING && is_right(&m, bytes, n)) pinged = m.number + 1;
  if (m.kind == ACK && m.round == report.round) acknowledged = m.number;
  if (m.kind == REPORT && m.round == report.round) report = m;
  if ((m.kind != DATA && m.kind != END) || !sink(&m, bytes, n)) return;
  struct message *to = (struct message *)udp_payload();
  if (!to) return;
  *to = report;
  if (m.kind == DATA) *to = (struct message){.kind = ACK, .round = m.round, .number = m.number + 1};
  udp_send(from, UDP_BENCH, sizeof *to);
}

/* 0: nobody answers for the peer's address. */
static int find_peer(void) {
  for (int tries = 0; tries < MAX_TRIES && !ip_is_known(peer); tries++) {
    ip_ask(peer);
    uint64_t until = system_time() + PATIENCE;
    while (!ip_is_known(peer) && system_time() < until) serve(until);
  }
  return ip_is_known(peer);
}

/* Waits until the sink is less than a window behind; what it says nothing of for long is lost. */
static void keep_pace(uint64_t sent) {
  if (window == 0 || sent - acknowledged < window) return;
  net_flush();
  uint64_t until = system_time() + PATIENCE;
  while (sent - acknowledged >= window && system_time() < until) serve(until);
  if (sent - acknowledged >= window) acknowledged = sent;
}

static void stream(uint32_t round, uint64_t count) {
  uint32_t bytes = size - IP_UDP_HEADERS;
  report = (struct message){.round = round};
  acknowledged = 0;
  for (uint64_t i = 0; i < count; i++) {
    keep_pace(i);
    make(payload(), (struct message){.kind = DATA, .window = window, .round = round, .number = i}, bytes);
    udp_send(peer, UDP_BENCH, bytes);
    if (i % BURST == BURST - 1) net_flush();
  }
  while (report.kind != REPORT) {
    make(payload(), (struct message){.kind = END, .round = round}, 0);
    udp_send(peer, UDP_BENCH, sizeof(struct message));
    net_flush();
    uint64_t until = system_time() + PATIENCE;
    while (report.kind != REPORT && system_time() < until) serve(until);
  }
  uint64_t frames = report.number * SECOND / (report.duration + 1);
  printf("net: sent %lu frames of %u bytes: %lu frames/s, %lu Mbit/s, %lu arrived", count, size, frames,
         frames * size * 8 / 1000000, report.number);
  if (report.wrong > 0) printf(", %lu WRONG", report.wrong);
  printf("\n");
}

static void ping(uint32_t round, uint64_t count) {
  static uint64_t took[MAX_PINGS];
  uint64_t back = 0;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t number = round * count + i, from = system_time();
    make(payload(), (struct message){.kind = PING, .round = round, .number = number}, size);
    udp_send(peer, UDP_ECHO, size);
    net_flush();
    while (pinged != number + 1 && system_time() < from + SECOND) serve(from + SECOND);
    if (pinged != number + 1) continue;
    uint64_t ns = system_time() - from, at = back++;
    for (; at > 0 && took[at - 1] > ns; at--) took[at] = took[at - 1];
    took[at] = ns;
  }
  if (back == 0) printf("net: %lu round trips of %u bytes: all lost\n", count, size);
  else
    printf("net: %lu round trips of %u bytes: median %lu ns, 99%% %lu ns, %lu lost\n", count, size, took[back / 2],
           took[back * 99 / 100], count - back);
}

/* Until xl shutdown. */
static void be_there(void) {
  char what[16];
  xenstore_watch("control/shutdown");
  while (!xenstore_changed() || xenstore_read("control/shutdown", what, sizeof what) <= 0) {
    serve(0);
    time_frames();
  }
  xenstore_write("control/shutdown", "");
  if (strcmp(what, "reboot") == 0) shutdown(SHUTDOWN_reboot);
}

void guest_main(void) {
  const char *line = (const char *)start_info->cmd_line;
  char mode[8] = "", text[20] = "";
  argument(line, "mode", mode, sizeof mode);
  argument(line, "ip", text, sizeof text);
  ip_address = ip_parse(text);
  int streams = strcmp(mode, "stream") == 0, pings = strcmp(mode, "ping") == 0;
  if (argument(line, "peer", text, sizeof text)) peer = ip_parse(text);
  size = (uint32_t)argument_number(line, "size", streams ? 1500 : 56);
  window = (uint16_t)argument_number(line, "window", 128);
  verifies = argument_number(line, "verify", 0) != 0;
  uint64_t count = argument_number(line, "count", 1000), rounds = argument_number(line, "rounds", 1);
  uint32_t least = sizeof(struct message) + (streams ? IP_UDP_HEADERS : 0);
  grants_init();
  if (!streams && !pings && strcmp(mode, "sink") && strcmp(mode, "echo")) printf("net: mode is stream, sink, ping or echo\n");
  else if (ip_address == 0) printf("net: ip= is missing\n");
  else if ((streams || pings) && peer == 0) printf("net: peer= is missing\n");
  else if (size < least || size > MAX_SIZE) printf("net: size is %u to %u\n", least, MAX_SIZE);
  else if (count == 0 || (pings && count > MAX_PINGS)) printf("net: count is at least 1, and for ping at most %u\n", MAX_PINGS);
  else if (!net_connect()) printf("net: there is no interface\n");
  else {
    printf("net: %s is ready\n", mode);
    if (!streams && !pings) be_there();
    else if (!find_peer()) {
      printf("net: nobody has the address %s\n", text);
      rounds = 0;
    }
    /* A sink begins anew with each number of a round, also when another guest has sent to it before. */
    uint32_t first = (uint32_t)system_time();
    for (uint32_t i = 0; (streams || pings) && i < rounds; i++) {
      if (streams) stream(first + i, count);
      else ping(i, count);
    }
  }
  printf("net: end\n");
}
