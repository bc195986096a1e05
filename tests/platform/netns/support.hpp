// Namespaces and devices for these tests. Nothing here has a name outside its own namespace, so
// nothing stays behind, whatever a test does.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "daemon/core/fd.hpp"
#include "daemon/core/result.hpp"
#include "daemon/netns/file_id.hpp"
#include "daemon/netns/link_monitor.hpp"
#include "daemon/netns/namespace.hpp"

namespace vethd::test {

constexpr std::chrono::seconds kPatience{10};  // for anything that must happen

/// The value, or the error thrown as text: gtest reports it as the test's failure.
template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().text());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// Skips without the privilege to make namespaces; allows as many descriptors as the limit does.
class PlatformTest : public ::testing::Test {
 protected:
  void SetUp() override;
};

Netns make_netns(const std::string& label);  // dies with its last user
NetnsId current_netns();                     // the calling thread's

struct Tap {
  Fd fd;
  int ifindex;
};
Tap make_tap(const Netns& ns, const std::string& ifname);
struct VethShape {
  int ifindex = 0;           // of a; 0: the kernel chooses
  std::uint32_t queues = 1;  // of each end, each way
};
void make_veth(const Netns& ns, const std::string& a, const std::string& b,
               const VethShape& shape = {});
int make_bridge(const Netns& ns, const std::string& ifname);  // its ifindex
void set_master(const Netns& ns, int ifindex, int master);    // 0: leave it
void move_link(const Netns& from, int ifindex, const Netns& to);

/// Reads events until one fits; returns all up to that one. Throws when none comes.
std::vector<LinkEvent> wait_for(LinkMonitor& monitor,
                                const std::function<bool(const LinkEvent&)>& fits);

/// A child process that runs body, then waits to be killed. Returns once body is done.
class Child {
 public:
  explicit Child(const std::function<void()>& body);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { kill(); }

  [[nodiscard]] pid_t pid() const { return pid_; }
  void kill_unreaped() const;  // leaves a zombie
  void kill();

 private:
  pid_t pid_ = 0;
};

/// Waits for a child, also an adopted one, and returns its wait status.
int wait_for_exit(pid_t pid);

}  // namespace vethd::test
