// Runs as the user's program returns, and counts what it returned (fexit).
//
// Emulates  nothing: veth's own xdp_packets, xdp_drops, ... are not to be had on a TAP.
// Shape     one row per enum xdp_action, one more for any other value; one column per CPU.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define OTHER (XDP_REDIRECT + 1)

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, OTHER + 1);
  __type(key, __u32);
  __type(value, __u64);
} verdicts SEC(".maps");

struct xdp_buff;

// Its target is set when it is loaded.
SEC("fexit")
int BPF_PROG(count_verdict, struct xdp_buff* xdp, unsigned int verdict) {
  __u32 row = verdict < OTHER ? verdict : OTHER;
  __u64* count = bpf_map_lookup_elem(&verdicts, &row);

  if (count) *count += 1;
  return 0;
}

char _license[] SEC("license") = "Apache-2.0";
