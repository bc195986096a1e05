// Network namespaces: find, hold, enter and leave.
#pragma once

#include <string>
#include <utility>

#include "config/schema.hpp"
#include "daemon/core/fd.hpp"
#include "daemon/core/result.hpp"
#include "daemon/netns/file_id.hpp"

namespace vethd {

/// A network namespace held: it lives, and its id stays its own, as long as this object.
///
/// Held by a socket inside, not by its file: an open file keeps the mount busy it was opened
/// through, so that whoever mounted it could not unmount it, and to others it looks like somebody
/// who wants the namespace to live.
class Netns {
 public:
  /// Opens what the configuration names. A pid is checked through a pidfd, so that the namespace is
  /// never that of a later process with the same number.
  static Result<Netns> open(const config::NetnsRef& ref);

  /// Takes an open namespace file, as TUNGETDEVNETNS returns one. Refuses any other file.
  static Result<Netns> adopt(Fd fd, std::string label);

  /// A file of it, of no mount, for setns() and the like.
  [[nodiscard]] Result<Fd> file() const;
  [[nodiscard]] NetnsId id() const { return id_; }
  [[nodiscard]] const std::string& label() const { return label_; }  // for messages

 private:
  Netns(Fd socket, NetnsId id, std::string label)
      : socket_(std::move(socket)), id_(id), label_(std::move(label)) {}

  Fd socket_;
  NetnsId id_;
  std::string label_;
};

/// The calling thread is inside a namespace until this object ends.
///
/// Panics  if the way back is closed: a thread in the wrong namespace must not continue.
class NetnsVisit {
 public:
  static Result<NetnsVisit> enter(const Netns& ns);
  /// file: of a namespace; label: for messages.
  static Result<NetnsVisit> enter(const Fd& file, const std::string& label);

  NetnsVisit(NetnsVisit&&) = default;
  NetnsVisit& operator=(NetnsVisit&&) = delete;
  NetnsVisit(const NetnsVisit&) = delete;
  NetnsVisit& operator=(const NetnsVisit&) = delete;
  ~NetnsVisit();

 private:
  explicit NetnsVisit(Fd home) : home_(std::move(home)) {}
  Fd home_;  // closed after a move
};

/// Runs fn inside ns and returns the Result fn returned.
///
/// Affects  the calling thread only; it is back home on every path, also when fn throws.
/// Errors   the failure to enter, or fn's own.
/// Never    across a coroutine suspension: the thread would serve others while away.
template <class Fn>
auto in_netns(const Netns& ns, Fn&& fn) -> decltype(fn()) {
  Result<NetnsVisit> visit = NetnsVisit::enter(ns);
  if (!visit) return pass(std::move(visit));
  return std::forward<Fn>(fn)();
}

}  // namespace vethd
