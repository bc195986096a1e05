// What control asks of a worker, between rounds.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <variant>
#include <vector>

#include "daemon/core/ids.hpp"
#include "daemon/core/result.hpp"
#include "daemon/core/spsc.hpp"
#include "daemon/pipeline/device.hpp"
#include "daemon/pipeline/softnet.hpp"
#include "daemon/worker/snapshot.hpp"
#include "drivers/io.hpp"

namespace vethd {

/// A pair comes to life on a worker: its devices, its machine, and every queue of both ends. Its
/// devices must be down until all workers have answered: a frame handed to a worker that does not
/// know its path yet breaks an invariant.
struct AddPair {
  PairId pair;
  MachineId machine;
  Device a;
  Device b;
  std::vector<EndpointSetup> endpoints;
  bool can_ask = false;  // control answers a LookAgain about it
};

/// One end has changed: up, down, mtu, address, namespace, features.
struct SetDevice {
  PairId pair;
  Side side{};
  Device device;
};

/// Control has looked at both devices because of a LookAgain about frames from this side; what was
/// new, SetDevice has said.
struct Looked {
  PairId pair;
  Side side{};
};

/// The operator has set a sysctl. All of the machine's come along.
struct SetSysctls {
  MachineId machine;
  Sysctls sysctls;
  std::shared_ptr<SockFlowTable> sock_flow_table;  // a new one, where its size has changed
};

/// First half of a removal: nothing new comes in, and receive queues are polled until they are
/// empty. Frames on their way go on.
struct StopReading {
  PairId pair;
};

/// Then, when no worker reads any more: frames still in the path are dropped as `removed`, and once
/// the kernel has done with what was written nothing touches the devices.
struct RemovePair {
  PairId pair;
};

/// Last, when AF_XDP sockets are closed and no worker has anything on its way to another: endpoints
/// are forgotten, and what the sockets had comes home.
struct ForgetPair {
  PairId pair;
};

/// Record your share of the ledger.
struct TakeSnapshot {};

/// Leave the loop.
struct Stop {};

/// What the worker answers.
struct MailAnswer {
  CpuId worker;
  std::uint64_t serial = 0;  // of the mail
  Result<void> result;
  std::shared_ptr<WorkerSnapshot> snapshot;  // of TakeSnapshot
};

struct Mail {
  std::uint64_t serial = 0;
  std::variant<AddPair, SetDevice, Looked, SetSysctls, StopReading, RemovePair, ForgetPair,
               TakeSnapshot, Stop>
      what;
};

/// Something the worker has to say unasked: an endpoint cannot be read any more.
struct FailureNotice {
  CpuId worker;
  EndpointFailure failure;
};

/// Frames wait that would be lost by what the worker knows of the devices. Control hears of a
/// change some time after `ip link` has returned; a veth knows at once.
struct LookAgain {
  PathId path;
};

/// Where answers and reports go; called on the worker's thread.
class Control {
 public:
  virtual ~Control() = default;
  virtual void answer(MailAnswer answer) = 0;
  virtual void notice(FailureNotice notice) = 0;
  /// Answered with Looked.
  virtual void look_again(LookAgain question) = 0;
};

// Control asks one question at a time, and may say Stop on top of it.
constexpr std::size_t kMailboxMails = 4;
using Mailbox = SpscQueue<std::unique_ptr<Mail>>;  // control pushes, the worker pops

}  // namespace vethd
