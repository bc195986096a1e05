// Compiled without -g: an object without BTF.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int pass_all(struct xdp_md* xdp) { return XDP_PASS; }

char _license[] SEC("license") = "Apache-2.0";
