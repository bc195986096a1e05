// One stage broken on purpose, to see whether the tests would notice. Only in builds made for that:
// anywhere else broken() is a constant and nothing is left of it.
#pragma once

#include <cstdint>

namespace vethd {

/// What can be broken, and how it then misbehaves.
enum class Stage : std::uint8_t {
  none,
  forward,             // frames of any length pass
  scrub,               // clears what describes checksum and segmentation, too
  eth_type_trans,      // the Ethernet header is gone for good
  csum,                // an unfinished checksum passes for none
  rps,                 // each frame of a flow goes to another CPU
  enqueue_to_backlog,  // a backlog without limit
  handover,            // frames go to the other CPU, the wake-up does not
  net_rx_action,       // a poll that used its whole weight is not repeated
  process_backlog,     // newest first
  delivery,            // back to where it came from
  flow_limit,          // never refuses
  softirq,             // not raised again for what is left to be polled
  mask,                // the receive queue's, never lifted after a poll
  wake_queue,          // a stopped queue stays so
  gro,                 // a merged frame says the length of its first part
  coalesce             // frames of different flows join
};

#ifdef VETHD_BREAKABLE
/// Whether this is the stage that VETHD_BREAK in the environment names. An unknown name panics.
bool broken(Stage stage);
#else
constexpr bool broken(Stage /*stage*/) { return false; }
#endif

}  // namespace vethd
