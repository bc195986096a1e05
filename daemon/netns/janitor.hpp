// Removes and restores what outlives the daemon, however the daemon ends.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "daemon/core/fd.hpp"
#include "daemon/core/ids.hpp"
#include "daemon/core/result.hpp"
#include "daemon/netns/file_id.hpp"
#include "daemon/netns/janitor_list.hpp"
#include "daemon/netns/janitor_process.hpp"
#include "daemon/netns/named.hpp"
#include "daemon/netns/namespace.hpp"

namespace vethd {

/// A second process that waits for the end of the first, and then cleans up.
///
/// Devices, sockets and memory die with the process that holds them. Names in the file system do
/// not: those of namespaces, of the control socket and of its directory; nor do settings of a
/// device that was there before. The daemon tells the janitor about each of them BEFORE making or
/// changing it and waits for the answer, so there is no moment at which SIGKILL would leave one
/// behind. The janitor reads from a socket pair; when the daemon ends (exit, abort, SIGKILL) the
/// kernel closes the other end, and what is registered is removed, newest first.
///
///   will_create_netns   both identities are known beforehand; nothing else is ever removed
///   will_create_socket  refused with EEXIST while the path exists, so it is ours if it appears;
///                       created() then narrows it down to this one file
///   will_create_directory  refused likewise; removed if empty
///   will_stop_vlan_stripping  switched on again at this very device, whatever its name is by then;
///                       nothing happens if it has gone or is in another namespace
///
/// Keep the Netns of a registered name open: its inode number could go to another one otherwise.
///
/// Both sides know the list. A janitor that has died, or that does not answer, is replaced by
/// another, which takes the list over; at the end what it has not done the daemon does itself.
///
/// Shape    at most kMaxRegistrations at a time, names of at most kMaxPathBytes each.
/// Threads  one. Others may exist: between fork() and its end the child allocates memory, which
///          glibc allows, and takes no other lock.
/// Never    outlives the daemon for longer than the removal takes; it ignores what a terminal or an
///          init system sends to the whole group. Waits for no longer than kPatience.
class Janitor {
 public:
  static constexpr std::size_t kMaxRegistrations = 8192;  // 2 namespaces for each of 4096 pairs
  static constexpr std::size_t kMaxPathBytes = JanitorItem::kMaxPathBytes;
  static constexpr std::chrono::seconds kPatience{2};  // with one answer

  using Registration = Id<struct RegistrationTag, std::uint32_t>;

  /// Forks; the child keeps no descriptor but its own.
  static Result<Janitor> start();

  Janitor(Janitor&& other) noexcept;
  Janitor& operator=(Janitor&&) = delete;
  Janitor(const Janitor&) = delete;
  Janitor& operator=(const Janitor&) = delete;
  ~Janitor();  // as finish(), without the report

  Result<Registration> will_create_netns(const NamedNetns& named);
  Result<Registration> will_create_socket(const std::string& path);
  Result<Registration> will_create_directory(const std::string& path);
  /// Only where it is on. The janitor keeps a socket on the device, and the namespace with it,
  /// until withdraw(), which is for after it was switched on again.
  Result<Registration> will_stop_vlan_stripping(const Netns& ns, int ifindex);

  /// The registered socket exists and is this file; another one at its path is left alone.
  Result<void> created(Registration registration, FileId file);

  /// It was not created after all, or has been removed.
  Result<void> withdraw(Registration registration);

  /// Starts another one if the process has ended. Errors: there can be none just now.
  Result<void> ensure();

  /// Readable: it has ended, or was replaced; time for ensure(), and for another fd().
  [[nodiscard]] int fd() const { return socket_.get(); }

  /// Has everything removed now and waits until it is. Errors: names what stays.
  Result<void> finish();

  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  Janitor() = default;

  Result<Registration> expect(JanitorItem item, const std::string& path, Fd device = {});
  Result<void> tell(JanitorRequest::Op op, const JanitorItem& item, const Fd& device,
                    const std::string& doing);
  Result<void> begin();
  Result<void> replace(const std::string& why);
  void end();

  JanitorList list_;
  std::uint32_t next_ = 0;
  Fd socket_;
  Fd replaced_;  // the socket of the last one: whoever waits for it hears of its end
  pid_t pid_ = 0;
};

}  // namespace vethd
