#include "daemon/control/nics.hpp"

#include <cerrno>
#include <string>
#include <utility>

#include "config/limits.hpp"
#include "daemon/control/pairs.hpp"
#include "daemon/netns/nic.hpp"
#include "daemon/process/log.hpp"

namespace vethd {
namespace {

std::optional<XskMode> mode_of(config::XdpMode mode) {
  switch (mode) {
    case config::XdpMode::automatic:
      return std::nullopt;
    case config::XdpMode::zerocopy:
      return XskMode::zerocopy;
    case config::XdpMode::copy:
      return XskMode::copy;
    case config::XdpMode::generic:
      return XskMode::generic;
  }
  return std::nullopt;
}

NicSetup setup_of(const PairEnd& end, const NicMemory::FirstChunks& first_chunks) {
  const config::AfXdp& config = end.config.af_xdp;
  return {.ifindex = end.link.ifindex,
          .software = end.software,
          .queues = end.config.queues,
          .mode = mode_of(config.mode),
          .steer = {.mac = config.steer.mac,
                    .vlan = config.steer.vlan,
                    .multicast = config.steer.multicast},
          .socket = {.ifname = end.link.name,
                     .queue = {},
                     .mode = {},
                     .need_wakeup = config.need_wakeup,
                     .multi_buffer = end.link.mtu > config::kMaxXdpMtu,
                     .rx_ring = config.rx_ring,
                     .tx_ring = config.tx_ring,
                     .fill_ring = config.fill_ring,
                     .completion_ring = config.completion_ring,
                     .busy_poll_budget = config.busy_poll_budget,
                     // A socket polls once per call, whatever the time: sk_busy_loop(sk, 1).
                     .busy_poll_usecs = config.busy_poll_budget > 0 ? 1U : 0U},
          .first_chunks = first_chunks};
}

std::string queues_text(std::uint32_t count) {
  return count == 1 ? "1 queue" : std::to_string(count) + " queues";
}

/// A queue without a socket would let its frames pass to the stack; of one that is not there
/// nothing would ever come.
Result<void> check_queues(const PairEnd& end, const NicInfo& info) {
  const std::uint32_t queues = end.config.queues;
  if (info.rx_queues == 0 || info.rx_queues == queues) return {};
  const std::string& name = end.link.name;
  std::string hint = "write queues = " + std::to_string(info.rx_queues);
  if (info.max_combined >= queues)
    hint += ", or: ethtool -L " + name + " combined " + std::to_string(queues);
  return fail("take " + subject(end) + " with " + std::to_string(queues) +
                  " queues: it receives on " + std::to_string(info.rx_queues),
              hint, EINVAL);
}

Result<void> check(const PairEnd& end, const NicInfo& info) {
  const std::string doing = "take " + subject(end);
  if (!info.ethernet)
    return fail(
        doing,
        "its frames have no Ethernet header: an end can be a device that `ip link` shows as "
        "link/ether, such as a network card, a veth or a TAP, but not a TUN",
        EOPNOTSUPP);
  if (!end.link.up)
    return fail(doing, "it is down: ip link set " + end.link.name + " up", ENETDOWN);
  if (auto right = check_queues(end, info); !right) return right;
  if (end.config.gro && end.link.mtu > config::kMaxXdpMtu)
    return fail(doing,
                "gro makes super-frames whose segments need mtu " +
                    std::to_string(config::kMaxXdpMtu) + " or less on this device",
                EINVAL);
  if (end.config.af_xdp.force) return {};
  const auto holds = holds_default_route(end.netns->netns, end.link.ifindex);
  if (!holds) return std::unexpected(holds.error());
  if (*holds)
    return fail(doing,
                "it holds the default route, and frames steered here do not reach the stack; "
                "force = true takes it all the same",
                EBUSY);
  return {};
}

Result<void> stop_stripping(PairEnd& end, Janitor& janitor) {
  auto registered = janitor.will_stop_vlan_stripping(end.netns->netns, end.link.ifindex);
  if (!registered) return pass(std::move(registered));
  end.stripping = *registered;
  return set_vlan_stripping(end.netns->netns, end.link.name, false);
}

void restore_stripping(PairEnd& end, Janitor& janitor) {
  const auto registration = std::exchange(end.stripping, std::nullopt);
  if (!registration) return;
  // The name it has now; a device that is gone needs nothing.
  if (const auto link = end.netns->links.get(end.link.ifindex))
    if (auto set = set_vlan_stripping(end.netns->netns, link->name, true); !set)
      return log::warn("{}", set.error().text());  // the janitor tries again
  if (auto withdrawn = janitor.withdraw(*registration); !withdrawn)
    log::warn("{}", withdrawn.error().text());
}

}  // namespace

Result<void> open_nic(PairEnd& end, Janitor& janitor, std::span<std::byte> arena,
                      const NicMemory::FirstChunks& first_chunks) {
  const auto info = nic_info(end.netns->netns, end.link.name);
  if (!info) return std::unexpected(info.error());
  if (auto fit = check(end, *info); !fit) return fit;
  end.software = info->bus.empty();
  end.device_queues = info->rx_queues;
  end.device_driver = info->driver.empty() ? "unknown" : info->driver;
  if (info->vlan_stripping)
    if (auto stopped = stop_stripping(end, janitor); !stopped) {
      restore_stripping(end, janitor);
      return stopped;
    }
  auto nic = Nic::open(end.netns->netns, setup_of(end, first_chunks), arena);
  if (!nic) {
    restore_stripping(end, janitor);
    return pass(std::move(nic));
  }
  for (const std::string& why : nic->refused()) log::info("{}: {}", subject(end), why);
  if (!nic->loses_tags().empty())
    log::info(
        "{}: a VLAN tag that the sender's stack keeps beside a frame is not seen ({}); on a veth, "
        "switch tx-vlan-offload and tx-vlan-stag-hw-insert off at its peer",
        subject(end), nic->loses_tags());
  log::info("{}: AF_XDP on {} ({}), {}", subject(end), end.device_driver,
            queues_text(end.config.queues), name_of(nic->mode()));
  end.nic.emplace(std::move(*nic));
  return {};
}

void look_at_queues(PairEnd& end) {
  const auto info = nic_info(end.netns->netns, end.link.name);
  // A device that is renamed or goes at this moment is an event of its own.
  if (!info || info->rx_queues == end.device_queues) return;
  end.device_queues = info->rx_queues;
  const std::uint32_t sockets = end.config.queues;
  if (end.device_queues == sockets)
    return log::info("{} receives on {} again", subject(end), queues_text(sockets));
  // Not on fewer: the kernel keeps queues that have sockets.
  log::warn(
      "{} now receives on {}, and frames of those beyond {} pass to its stack: ethtool -L {} {} "
      "{}, or write queues = {} and start vethd again",
      subject(end), queues_text(end.device_queues), sockets, end.link.name,
      info->max_combined > 0 ? "combined" : "rx", sockets, end.device_queues);
}

void close_nic(PairEnd& end, Janitor& janitor) {
  end.nic.reset();
  restore_stripping(end, janitor);
}

}  // namespace vethd
