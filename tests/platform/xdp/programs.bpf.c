// What a user might attach.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int pass_all(struct xdp_md* xdp) { return XDP_PASS; }

SEC("xdp")
int drop_all(struct xdp_md* xdp) { return XDP_DROP; }

SEC("xdp")
int tx_all(struct xdp_md* xdp) { return XDP_TX; }

SEC("xdp.frags")
int pass_frags(struct xdp_md* xdp) { return XDP_PASS; }

// Returns what the first byte of the frame says.
SEC("xdp")
int as_told(struct xdp_md* xdp) {
  const unsigned char* frame = (void*)(long)xdp->data;

  if (frame + 1 > (const unsigned char*)(long)xdp->data_end) return XDP_ABORTED;
  return frame[0];
}

// As a program that knows nothing of VLANs.
SEC("xdp")
int drop_tagged(struct xdp_md* xdp) {
  const unsigned char* frame = (void*)(long)xdp->data;

  if (frame + 14 > (const unsigned char*)(long)xdp->data_end) return XDP_ABORTED;
  return frame[12] == 0x81 && frame[13] == 0 ? XDP_DROP : XDP_PASS;
}

// Sends back what is 100 bytes long, and nothing else.
SEC("xdp")
int tx_100_bytes(struct xdp_md* xdp) {
  return xdp->data_end - xdp->data == 100 ? XDP_TX : XDP_DROP;
}

// Reads without looking at data_end.
SEC("?xdp")
int reads_beyond(struct xdp_md* xdp) { return *(const unsigned char*)(long)xdp->data; }

SEC("?tc")
int classifier(struct __sk_buff* skb) { return TC_ACT_OK; }

SEC("?xdp/devmap")
int of_a_devmap(struct xdp_md* xdp) { return XDP_PASS; }

char _license[] SEC("license") = "Apache-2.0";
