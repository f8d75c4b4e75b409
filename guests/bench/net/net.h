/* The parts of the guest `net`: netfront.c moves frames, packets.c knows what is in them, net.c what to do. */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <frontend.h>

/* netfront.c: the first interface. */
extern uint8_t net_mac[6];
extern struct frontend net_interface;
int net_connect(void); /* 0: there is none that can be had */
/* A page for the next frame, or 0 while all pages are under way. */
uint8_t *net_page(void);
/* Sends what is in that page. With `blank`, its checksum of UDP is only the pseudo-header's, and the backend's to finish. */
void net_send(uint32_t size, int blank);
/* Tells the backend of what was sent. */
void net_flush(void);
/* Takes back sent pages, and gives each received frame to net_receive. 0: there was nothing. */
int net_poll(void);
/* Sleeps until there may be something for net_poll, for xenstore_changed, or until a system time (0: none). */
void net_sleep(uint64_t until);
/* packets.c: `valid`: its checksum need not be looked at. The frame is only good until it returns. */
void net_receive(uint8_t *frame, uint32_t size, int valid);

/* packets.c: IPv4 addresses are in host order. ARP and echo's port of UDP are answered. */
#define UDP_ECHO 7
#define UDP_BENCH 9 /* discard */
extern uint32_t ip_address;
uint32_t ip_parse(const char *text);
/* Asks who has an address; whether that is known. */
void ip_ask(uint32_t address);
int ip_is_known(uint32_t address);
/* Where the next datagram's payload goes; 0 while all pages are under way. Then it is sent, to an address that is known. */
uint8_t *udp_payload(void);
void udp_send(uint32_t to, uint16_t port, uint32_t size); /* from UDP_BENCH */
/* net.c: called with each datagram but those to the echo port. */
void udp_receive(uint32_t from, uint16_t port, const uint8_t *payload, uint32_t size);

#endif
