// Stands on a device in place of the user's program: calls it, counts what it returns, refuses
// XDP_TX where a veth would, and hides the outer VLAN tag.
//
// Emulates  drivers/net/veth.c: veth_xdp_xmit() on behalf of veth_xdp_flush_bq(): frames sent back
//           are lost while the other end runs no program (ENXIO). A TAP would always take them.
//           veth_xdp_rcv_skb(): a program sees a frame's bytes, and its tag stands beside them
//           (skb->vlan_tci) until the stack wants it. What is no sk_buff any more, because it is
//           sent back or elsewhere, has lost it. On a TAP the tag is always in the bytes.
// Shape     the call is a tail call out of a subprogram, which returns here: x86-64 from Linux
//           5.10, with the JIT. Counts have a row per enum xdp_action, in its order.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum { OTHER = XDP_REDIRECT + 1, TX_ERRORS, ROWS };

/* As words: a frame is moved by four bytes, over itself. */
#define MAC_WORDS (2 * ETH_ALEN / 4)
#define TAG_WORD MAC_WORDS
#define VLAN_HLEN 4
#define NO_TAG 0

volatile __u32 peer_runs_xdp; /* control writes it, at any time */

/* XDP_ABORTED. Older verifiers (6.1) take a tail call for one that does not return: a subprogram has
   for them the value that stands behind it, and if they know that one they cut away what the caller
   does for others. They do not know what is in a map. */
volatile __u32 not_called;

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

/* The first words of the frame; NULL if it has not as many. */
static __always_inline __u32* head_of(struct xdp_md* xdp) {
  __u32* words = (void*)(long)xdp->data;

  return (void*)(words + TAG_WORD + 1) > (void*)(long)xdp->data_end ? NULL : words;
}

/* Returns the tag, as it stood in the frame. */
static __always_inline __u32 take_tag(struct xdp_md* xdp) {
  __u32* words = head_of(xdp);
  __u32 tag;
  int i;

  /* Without the tag it must still be a frame: bpf_xdp_adjust_head(). */
  if (!words || (void*)words + VLAN_HLEN + ETH_HLEN > (void*)(long)xdp->data_end) return NO_TAG;
  tag = words[TAG_WORD];
  switch (*(__be16*)&words[TAG_WORD]) {
    case bpf_htons(ETH_P_8021Q):
    case bpf_htons(ETH_P_8021AD):
      break;
    default:
      return NO_TAG;
  }
#pragma unroll
  for (i = MAC_WORDS; i > 0; i--) words[i] = words[i - 1];
  return bpf_xdp_adjust_head(xdp, VLAN_HLEN) ? NO_TAG : tag;
}

/* False: the program has left no room. */
static __always_inline int put_tag(struct xdp_md* xdp, __u32 tag) {
  __u32* words;
  int i;

  if (bpf_xdp_adjust_head(xdp, -VLAN_HLEN)) return 0;
  words = head_of(xdp);
  if (!words) return 0;
#pragma unroll
  for (i = 0; i < MAC_WORDS; i++) words[i] = words[i + 1];
  words[TAG_WORD] = tag;
  return 1;
}

static __noinline int call_user(struct xdp_md* xdp) {
  bpf_tail_call(xdp, &users, 0);
  return not_called;
}

SEC("xdp")
int vethd_call(struct xdp_md* xdp) {
  __u32 tag = take_tag(xdp);
  __u32 verdict = call_user(xdp);

  count(verdict < OTHER ? verdict : OTHER);
  if (verdict == XDP_PASS && tag != NO_TAG && !put_tag(xdp, tag)) return XDP_DROP;
  if (verdict != XDP_TX || peer_runs_xdp) return verdict;
  count(TX_ERRORS);
  return XDP_DROP;
}

char _license[] SEC("license") = "Apache-2.0";
