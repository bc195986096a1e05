// Preloaded under callgrind: valgrind (3.19) does not know that io_uring_enter(2) may block and
// lets no other thread run meanwhile. It knows of poll(2). Only waiting goes this way.
#include <liburing.h>
#include <poll.h>

constexpr int kLookAgainMs = 1;  // deferred completions do not wake a poll

// However many are wanted: a wait that ends early is a round for nothing.
extern "C" int io_uring_submit_and_wait(io_uring* ring, unsigned /*wanted*/) {
  const int submitted = io_uring_submit(ring);
  pollfd events{.fd = ring->ring_fd, .events = POLLIN, .revents = 0};
  if (submitted >= 0 && io_uring_cq_ready(ring) == 0) {
    ::poll(&events, 1, kLookAgainMs);
    io_uring_get_events(ring);
  }
  return submitted;
}
