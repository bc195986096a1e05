// Stands on a device in place of the user's program: calls it, counts what it returns, and refuses
// XDP_TX where a veth would.
//
// Emulates  drivers/net/veth.c: veth_xdp_xmit() on behalf of veth_xdp_flush_bq(): frames sent back
//           are lost while the other end runs no program (ENXIO). A TAP would always take them.
// Shape     the call is a tail call out of a subprogram, which returns here: x86-64 from Linux
//           5.10, with the JIT. Counts have a row per enum xdp_action, in its order.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

enum { OTHER = XDP_REDIRECT + 1, TX_ERRORS, ROWS };

volatile __u32 peer_runs_xdp; /* control writes it, at any time */

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} users SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, ROWS);
  __type(key, __u32);
  __type(value, __u64);
} counts SEC(".maps");

static __always_inline void count(__u32 row) {
  __u64* frames = bpf_map_lookup_elem(&counts, &row);

  if (frames) *frames += 1;
}

/* Without the volatile, clang takes the value after the call for known. */
static __noinline int call_user(struct xdp_md* xdp) {
  volatile int missing = XDP_ABORTED;

  bpf_tail_call(xdp, &users, 0);
  return missing;
}

SEC("xdp")
int vethd_call(struct xdp_md* xdp) {
  __u32 verdict = call_user(xdp);

  count(verdict < OTHER ? verdict : OTHER);
  if (verdict != XDP_TX || peer_runs_xdp) return verdict;
  count(TX_ERRORS);
  return XDP_DROP;
}

char _license[] SEC("license") = "Apache-2.0";
