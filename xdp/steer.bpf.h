// Which frames the redirect programs take, and the sockets that get them.
//
// Shape  the steering is constant by the time a program is verified: what it does not ask for is
//        not in the program that runs.
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define VID_MASK 0x0fff /* of the tag's control information; the rest is priority */

const volatile __u8 by_mac = 0;
const volatile __u8 mac[ETH_ALEN] = {};
const volatile __u8 multicast = 0;
const volatile __u8 by_vlan = 0;
const volatile __u16 vlan = 0;

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, 1); /* the device's queues, set before it is loaded */
  __type(key, __u32);
  __type(value, __u32);
} sockets SEC(".maps");

struct tag {
  __be16 protocol;
  __be16 tci;
};

/* The addresses, and the outer tag behind them. */
struct tagged {
  __u8 dest[ETH_ALEN];
  __u8 source[ETH_ALEN];
  struct tag tag;
};

static __always_inline int is_for_mac(const struct ethhdr* eth) {
  int differs = 0;

  if (multicast && (eth->h_dest[0] & 1)) return 1;
#pragma unroll
  for (int i = 0; i < ETH_ALEN; i++) differs |= eth->h_dest[i] ^ mac[i];
  return !differs;
}

static __always_inline int is_of_vlan(const struct tag* tag) {
  if (tag->protocol != bpf_htons(ETH_P_8021Q) && tag->protocol != bpf_htons(ETH_P_8021AD)) return 0;
  return (bpf_ntohs(tag->tci) & VID_MASK) == vlan;
}

/* Whether the steering wants a frame whose outer tag, if it has one, lies in its bytes. */
static __always_inline int is_wanted(const struct ethhdr* eth, const void* end) {
  const struct tagged* frame = (const struct tagged*)eth;

  if ((const void*)(eth + 1) > end) return 0;
  if (by_mac && !is_for_mac(eth)) return 0;
  if (!by_vlan) return 1;
  return (const void*)(frame + 1) <= end && is_of_vlan(&frame->tag);
}
