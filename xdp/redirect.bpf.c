// Hands the frames of a device to the AF_XDP socket of the queue they arrived on, all or those that
// the steering wants. The stack gets the rest, and what arrives on a queue without a socket.
//
// Shape  the steering is constant by the time this is verified: what it does not ask for is not in
//        the program that runs. An outer tag is seen in the frame's bytes only; a device that takes
//        it out (rx-vlan-offload) hides it.
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

struct tagged {
  struct ethhdr eth;
  __be16 tci;
} __attribute__((packed));

static __always_inline int is_for_mac(const struct ethhdr* eth) {
  int differs = 0;

  if (multicast && (eth->h_dest[0] & 1)) return 1;
#pragma unroll
  for (int i = 0; i < ETH_ALEN; i++) differs |= eth->h_dest[i] ^ mac[i];
  return !differs;
}

static __always_inline int is_of_vlan(const struct ethhdr* eth, const void* end) {
  const struct tagged* frame = (const struct tagged*)eth;

  if (eth->h_proto != bpf_htons(ETH_P_8021Q) && eth->h_proto != bpf_htons(ETH_P_8021AD)) return 0;
  if ((const void*)(frame + 1) > end) return 0;
  return (bpf_ntohs(frame->tci) & VID_MASK) == vlan;
}

SEC("xdp")
int redirect(struct xdp_md* xdp) {
  const struct ethhdr* eth = (void*)(long)xdp->data;
  const void* end = (void*)(long)xdp->data_end;

  if ((const void*)(eth + 1) > end) return XDP_PASS;
  if (by_mac && !is_for_mac(eth)) return XDP_PASS;
  if (by_vlan && !is_of_vlan(eth, end)) return XDP_PASS;
  return bpf_redirect_map(&sockets, xdp->rx_queue_index, XDP_PASS);
}

char _license[] SEC("license") = "Apache-2.0";
