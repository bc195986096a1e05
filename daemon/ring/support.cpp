#include "daemon/ring/support.hpp"

#include <fcntl.h>
#include <liburing.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "daemon/core/fd.hpp"
#include "daemon/ring/opcodes.hpp"

namespace vethd {
namespace {

constexpr unsigned kProbeEntries = 4;

struct Flags {
  unsigned flags;
  const char* name;
};
constexpr unsigned kDeferTaskrun = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
// Best first. Completions are then run only by the waiting thread, not in the middle of a stage.
constexpr std::array kSetups{
    Flags{kDeferTaskrun | IORING_SETUP_TASKRUN_FLAG, "DEFER_TASKRUN"},
    Flags{IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, "COOP_TASKRUN"},
    Flags{0, "default task run"},
};

class ProbeRing {
 public:
  explicit ProbeRing(unsigned flags) : error_(-io_uring_queue_init(kProbeEntries, &ring_, flags)) {}
  ProbeRing(const ProbeRing&) = delete;
  ProbeRing& operator=(const ProbeRing&) = delete;
  ~ProbeRing() {
    if (error_ == 0) io_uring_queue_exit(&ring_);
  }
  [[nodiscard]] int error() const { return error_; }
  [[nodiscard]] io_uring& get() { return ring_; }

 private:
  io_uring ring_{};
  int error_;
};

std::unexpected<Error> refused(const char* doing, int error) {
  return fail(doing, io_uring_remedy(error), error);
}

std::unique_ptr<void, decltype(&std::free)> page() {
  const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return {std::aligned_alloc(bytes, bytes), &std::free};
}

/// A ring of one buffer, in that page. 0, or an errno.
int register_buffers(io_uring& ring, void* memory) {
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
  registration.ring_entries = 1;
  return -io_uring_register_buf_ring(&ring, &registration, 0);
}

/// One byte through a pipe. Some kernels know the opcode and forget to say which buffer they used
/// (6.8), so knowing the opcode is not enough.
///
/// Errors  what says nothing about the kernel's abilities: a limit, or a refusal of every request.
Result<bool> multishot_read_works(unsigned setup_flags) {
  ProbeRing ring(setup_flags);
  if (ring.error() != 0) return refused("use io_uring", ring.error());
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) < 0) return refused("make a pipe", errno);
  const Fd reader(ends[0]);
  const Fd writer(ends[1]);

  const auto memory = page();
  auto* const buffers = static_cast<io_uring_buf_ring*>(memory.get());
  if (const int error = register_buffers(ring.get(), memory.get()); error != 0)
    return refused("register an io_uring buffer ring", error);
  char byte = 0;
  io_uring_buf_ring_init(buffers);
  io_uring_buf_ring_add(buffers, &byte, sizeof byte, 7, io_uring_buf_ring_mask(1), 0);
  io_uring_buf_ring_advance(buffers, 1);

  if (::write(writer.get(), "x", 1) != 1) return refused("write into a pipe", errno);
  io_uring_sqe* const sqe = io_uring_get_sqe(&ring.get());
  prepare_read_multishot(*sqe, reader.get(), 0);
  const int submitted = io_uring_submit_and_wait(&ring.get(), 1);
  if (submitted < 0) return refused("submit to io_uring (io_uring_enter)", -submitted);
  io_uring_cqe* cqe = nullptr;
  if (io_uring_peek_cqe(&ring.get(), &cqe) != 0) return false;
  return cqe->res == 1 && byte == 'x' && (cqe->flags & IORING_CQE_F_BUFFER) != 0 &&
         cqe->flags >> IORING_CQE_BUFFER_SHIFT == 7 && (cqe->flags & IORING_CQE_F_MORE) != 0;
}

bool knows_opcode(int opcode) {
  const std::unique_ptr<io_uring_probe, decltype(&io_uring_free_probe)> probe(io_uring_get_probe(),
                                                                              &io_uring_free_probe);
  return probe != nullptr && io_uring_opcode_supported(probe.get(), opcode) != 0;
}

}  // namespace

std::string io_uring_remedy(int error) {
  switch (error) {
    case ENOMEM:
    case EAGAIN:
    case EBADR:  // completions were lost for want of memory
      return "raise ulimit -l (LimitMEMLOCK=), and memory.max of the cgroup";
    case ENOSYS:
      return "this kernel has no io_uring (CONFIG_IO_URING), or a seccomp filter hides it; vethd "
             "needs Linux 6.1 or newer";
    case EINVAL:
      return "vethd needs Linux 6.1 or newer";
    case EPERM:
    case EACCES:
      break;
    default:
      return "vethd needs io_uring; does a seccomp filter block it?";
  }
  int disabled = 0;
  std::ifstream("/proc/sys/kernel/io_uring_disabled") >> disabled;
  if (disabled == 2)
    return "the sysctl kernel.io_uring_disabled is 2; allow it with: sysctl -w "
           "kernel.io_uring_disabled=0";
  if (disabled == 1)
    return "the sysctl kernel.io_uring_disabled is 1 and this process is not in "
           "kernel.io_uring_group; allow it with: sysctl -w kernel.io_uring_disabled=0";
  return "a seccomp filter or security module blocks io_uring, as container runtimes do by "
         "default; "
         "allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp "
         "profile";
}

std::vector<std::string> RingSupport::in_use() const {
  std::vector<std::string> list;
  for (const Flags& setup : kSetups)
    if (setup.flags == setup_flags) list.emplace_back(setup.name);
  list.emplace_back(multishot_read ? "multishot reads" : "single-shot reads");
  list.emplace_back(msg_ring ? "MSG_RING wake-ups" : "eventfd wake-ups");
  return list;
}

std::vector<std::string> RingSupport::missing() const {
  std::vector<std::string> list;
  if (setup_flags != kSetups.front().flags)
    list.emplace_back("no DEFER_TASKRUN (needs Linux 6.1): completions run at any system call");
  if (!multishot_read)
    list.emplace_back(
        "no working multishot read (needs Linux 6.7): single-shot reads in linked chains");
  if (!msg_ring)
    list.emplace_back("no MSG_RING (needs Linux 5.18): an eventfd wakes other workers");
  return list;
}

Result<RingSupport> probe_ring_support() {
  RingSupport support;
  int error = 0;
  for (const Flags& setup : kSetups) {
    error = ProbeRing(setup.flags | IORING_SETUP_R_DISABLED).error();
    if (error == 0) {
      support.setup_flags = setup.flags;
      break;
    }
  }
  if (error != 0) return refused("use io_uring", error);
  auto multishot = multishot_read_works(support.setup_flags);
  if (!multishot) return pass(std::move(multishot));
  support.multishot_read = *multishot;
  support.msg_ring = knows_opcode(IORING_OP_MSG_RING);
  return support;
}

}  // namespace vethd
