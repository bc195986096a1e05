// What newer kernels have and the headers of Debian 12 do not name yet.
#pragma once

#include <liburing.h>

namespace vethd {

constexpr unsigned char kOpReadMultishot = 49;  // IORING_OP_READ_MULTISHOT, Linux 6.7

/// liburing 2.3 has no helper for it.
inline void prepare_read_multishot(io_uring_sqe& sqe, int fd, unsigned short buffer_group) {
  io_uring_prep_rw(kOpReadMultishot, &sqe, fd, nullptr, 0, 0);
  sqe.buf_group = buffer_group;
  sqe.flags |= IOSQE_BUFFER_SELECT;
}

}  // namespace vethd
