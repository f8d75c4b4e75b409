/* As much of ARP (RFC 826), IPv4 (791) and UDP (768) as a bench needs: one network, no fragments, no options sent, no ICMP. */
#include "net.h"

#define PACKED __attribute__((packed))

struct ethernet {
  uint8_t to[6], from[6];
  uint16_t type;
} PACKED;

struct arp {
  uint16_t hardware, protocol;
  uint8_t hardware_size, protocol_size;
  uint16_t operation;
  uint8_t from_mac[6];
  uint32_t from_ip;
  uint8_t to_mac[6];
  uint32_t to_ip;
} PACKED;

struct ipv4 {
  uint8_t version_words, service;
  uint16_t size, id, fragment;
  uint8_t ttl, protocol;
  uint16_t checksum;
  uint32_t from, to;
} PACKED;

struct udp {
  uint16_t from, to, size, checksum;
} PACKED;

#define HEADERS (sizeof(struct ethernet) + sizeof(struct ipv4) + sizeof(struct udp))
#define TYPE_IPV4 0x0800
#define TYPE_ARP 0x0806
#define UDP 17
#define NEIGHBOURS 8

static uint16_t swap16(uint16_t v) { return (uint16_t)(v << 8 | v >> 8); }
static uint32_t swap32(uint32_t v) { return __builtin_bswap32(v); }

uint32_t ip_address;
static const uint8_t everybody[6] = {255, 255, 255, 255, 255, 255};
static struct {
  uint32_t ip;
  uint8_t mac[6];
} neighbours[NEIGHBOURS];

static const uint8_t *mac_of(uint32_t ip) {
  for (int i = 0; i < NEIGHBOURS; i++)
    if (neighbours[i].ip == ip) return neighbours[i].mac;
  return 0;
}

/* The oldest makes room. */
static void learn(uint32_t ip, const uint8_t *mac) {
  static unsigned next;
  if (mac_of(ip)) return;
  neighbours[next % NEIGHBOURS].ip = ip;
  memcpy(neighbours[next++ % NEIGHBOURS].mac, mac, 6);
}

uint32_t ip_parse(const char *text) {
  uint32_t ip = 0;
  for (int i = 0; i < 4; i++) {
    ip = ip << 8 | (uint32_t)(number_of(text) & 255);
    while (*text && *text++ != '.') {}
  }
  return ip;
}

/* The sum of RFC 1071, not yet inverted; words as they lie in memory, two at a time: folding adds them up. */
static uint16_t sum(const void *from, uint32_t size, uint64_t total) {
  const uint8_t *at = from;
  for (; size >= 4; size -= 4, at += 4) total += *(const uint32_t *)at;
  if (size & 2) total += *(const uint16_t *)at, at += 2;
  if (size & 1) total += *at;
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return (uint16_t)total;
}

static uint16_t pseudo_sum(const struct ipv4 *ip, uint16_t size) {
  return sum(&ip->from, 8, (uint32_t)swap16(ip->protocol) + swap16(size));
}

static void ethernet(struct ethernet *e, const uint8_t *to, uint16_t type) {
  memcpy(e->to, to, 6);
  memcpy(e->from, net_mac, 6);
  e->type = swap16(type);
}

static void send_arp(uint16_t operation, const uint8_t *to, uint32_t to_ip) {
  uint8_t *frame = net_page();
  if (!frame) return;
  struct arp *a = (void *)(frame + sizeof(struct ethernet));
  ethernet((void *)frame, to, TYPE_ARP);
  a->hardware = swap16(1);
  a->protocol = swap16(TYPE_IPV4);
  a->hardware_size = 6;
  a->protocol_size = 4;
  a->operation = swap16(operation);
  memcpy(a->from_mac, net_mac, 6);
  a->from_ip = swap32(ip_address);
  memcpy(a->to_mac, to, 6);
  a->to_ip = swap32(to_ip);
  net_send(sizeof(struct ethernet) + sizeof *a, 0);
}

int ip_is_known(uint32_t address) { return mac_of(address) != 0; }

void ip_ask(uint32_t address) {
  send_arp(1, everybody, address);
  net_flush();
}

static void receive_arp(const struct arp *a, uint32_t size) {
  if (size < sizeof *a || swap32(a->to_ip) != ip_address) return;
  learn(swap32(a->from_ip), a->from_mac);
  if (swap16(a->operation) == 1) send_arp(2, a->from_mac, swap32(a->from_ip));
}

/* The headers of Ethernet and IPv4 for `size` bytes of payload. */
static struct ipv4 *headers(uint8_t *frame, uint32_t to, uint32_t size) {
  struct ipv4 *ip = (void *)(frame + sizeof(struct ethernet));
  const uint8_t *mac = mac_of(to);
  ethernet((void *)frame, mac ? mac : everybody, TYPE_IPV4);
  *ip = (struct ipv4){.version_words = 0x45, .ttl = 64, .protocol = UDP, .from = swap32(ip_address), .to = swap32(to)};
  ip->size = swap16((uint16_t)(sizeof *ip + size));
  ip->fragment = swap16(0x4000); /* not to be fragmented */
  ip->checksum = (uint16_t)~sum(ip, sizeof *ip, 0);
  return ip;
}

uint8_t *udp_payload(void) {
  uint8_t *frame = net_page();
  return frame ? frame + HEADERS : 0;
}

static void send_udp(uint32_t to, uint16_t from_port, uint16_t to_port, uint32_t size) {
  struct ipv4 *ip = headers(net_page(), to, sizeof(struct udp) + size);
  struct udp *u = (void *)(ip + 1);
  u->from = swap16(from_port);
  u->to = swap16(to_port);
  u->size = swap16((uint16_t)(sizeof *u + size));
  u->checksum = pseudo_sum(ip, (uint16_t)(sizeof *u + size));
  net_send(HEADERS + size, 1);
}

void udp_send(uint32_t to, uint16_t port, uint32_t size) { send_udp(to, UDP_BENCH, port, size); }

static void receive_udp(const struct ipv4 *ip, const struct udp *u, uint32_t size, int valid) {
  uint32_t length = swap16(u->size);
  if (size < sizeof *u || length < sizeof *u || length > size) return;
  if (!valid && u->checksum != 0 && sum(u, length, pseudo_sum(ip, (uint16_t)length)) != 0xffff) return;
  uint32_t from = swap32(ip->from), payload = length - sizeof *u;
  if (swap16(u->to) != UDP_ECHO) {
    udp_receive(from, swap16(u->to), (const uint8_t *)(u + 1), payload);
    return;
  }
  uint8_t *to = udp_payload();
  /* Two echoes must not answer each other for ever. */
  if (!to || swap16(u->from) == UDP_ECHO) return;
  memcpy(to, u + 1, payload);
  send_udp(from, UDP_ECHO, swap16(u->from), payload);
}

void net_receive(uint8_t *frame, uint32_t size, int valid) {
  struct ethernet *e = (void *)frame;
  if (size < sizeof *e) return;
  size -= sizeof *e;
  if (swap16(e->type) == TYPE_ARP) receive_arp((void *)(e + 1), size);
  if (swap16(e->type) != TYPE_IPV4) return;
  struct ipv4 *ip = (void *)(e + 1);
  uint32_t header = (ip->version_words & 15) * 4u;
  if (size < sizeof *ip || ip->version_words >> 4 != 4 || header < sizeof *ip) return;
  uint32_t total = swap16(ip->size);
  if (total > size || total < header || sum(ip, header, 0) != 0xffff || swap32(ip->to) != ip_address) return;
  if (swap16(ip->fragment) & 0x3fff) return;
  learn(swap32(ip->from), e->from);
  if (ip->protocol == UDP) receive_udp(ip, (void *)((uint8_t *)ip + header), total - header, valid);
}
