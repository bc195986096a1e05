// redirect.bpf.c for a device whose frames may have their outer tag beside them: in sk_buff, where
// the sender's VLAN device or bridge left it for an offload (tx-vlan-offload of a veth's peer).
// Asks the device for it and puts it back into the bytes.
//
// Shape  bound to the one device it is loaded for, in native mode only: the kernel lends the
//        function to no other program.
#include "xdp/steer.bpf.h"

/* Linux 6.8. What the kernel declares in include/net/xdp.h. 0: there is a tag. */
extern int bpf_xdp_metadata_rx_vlan_tag(const struct xdp_md* xdp, __be16* protocol,
                                        __u16* tci) __ksym;

/* Moves the addresses to the front and writes the tag behind them. A frame that cannot be made
 * longer must not lose its tag: it is dropped, as XDP_ABORTED, which a tracepoint shows. */
static __always_inline int put_back(struct xdp_md* xdp, const struct tag* tag) {
  struct tagged head;
  const struct tagged* old;
  struct tagged* new;

  old = (void*)(long)xdp->data;
  if ((const void*)old->source + ETH_ALEN > (void*)(long)xdp->data_end) return XDP_ABORTED;
  __builtin_memcpy(&head, old, 2 * ETH_ALEN);
  head.tag = *tag;
  if (bpf_xdp_adjust_head(xdp, -(int)sizeof *tag)) return XDP_ABORTED;
  new = (void*)(long)xdp->data;
  if ((void*)(new + 1) > (void*)(long)xdp->data_end) return XDP_ABORTED;
  __builtin_memcpy(new, &head, sizeof head);
  return bpf_redirect_map(&sockets, xdp->rx_queue_index, XDP_ABORTED);
}

SEC("xdp")
int redirect_tag(struct xdp_md* xdp) {
  const struct ethhdr* eth = (void*)(long)xdp->data;
  const void* end = (void*)(long)xdp->data_end;
  struct tag tag;
  __u32 queue;
  __u16 tci;

  if (bpf_xdp_metadata_rx_vlan_tag(xdp, &tag.protocol, &tci)) {
    if (!is_wanted(eth, end)) return XDP_PASS;
    return bpf_redirect_map(&sockets, xdp->rx_queue_index, XDP_PASS);
  }
  tag.tci = bpf_htons(tci);
  if ((const void*)(eth + 1) > end) return XDP_PASS;
  if (by_mac && !is_for_mac(eth)) return XDP_PASS;
  if (by_vlan && !is_of_vlan(&tag)) return XDP_PASS;
  /* The stack gets it as it was. */
  queue = xdp->rx_queue_index;
  if (!bpf_map_lookup_elem(&sockets, &queue)) return XDP_PASS;
  return put_back(xdp, &tag);
}

/* The kernel lends its functions only to what is under the GPL, too. */
char _license[] SEC("license") = "Dual MIT/GPL";
