// Hands the frames of a device to the AF_XDP socket of the queue they arrived on, all or those that
// the steering wants. The stack gets the rest, and what arrives on a queue without a socket.
//
// Shape  an outer tag is seen in the frame's bytes only; a device that takes it out
//        (rx-vlan-offload) hides it. redirect_tag.bpf.c is for those that cannot be kept from it.
#include "xdp/steer.bpf.h"

SEC("xdp")
int redirect(struct xdp_md* xdp) {
  const struct ethhdr* eth = (void*)(long)xdp->data;
  const void* end = (void*)(long)xdp->data_end;

  if (!is_wanted(eth, end)) return XDP_PASS;
  return bpf_redirect_map(&sockets, xdp->rx_queue_index, XDP_PASS);
}

char _license[] SEC("license") = "Apache-2.0";
