#include "drivers/af_xdp/nic.hpp"

#include <span>
#include <utility>

namespace vethd {
namespace {

constexpr XskMode kBestFirst[] = {XskMode::zerocopy, XskMode::copy, XskMode::generic};

/// Lets the device take in what is steered here, and no more.
Result<DeviceMembership> listen(const Netns& ns, int ifindex, const Steering& steer) {
  auto membership = DeviceMembership::open(ns, ifindex);
  if (!membership) return membership;
  // A card's filter of VLANs passes those that its stack has devices for; only promiscuity opens
  // it.
  const auto added = !steer.mac || steer.vlan ? membership->add_promiscuous()
                                              : membership->add_unicast(*steer.mac);
  if (!added) return std::unexpected(added.error());
  if (steer.multicast)
    if (auto groups = membership->add_all_multicast(); !groups) return pass(std::move(groups));
  return membership;
}

/// loses_tags: Nic::loses_tags().
Result<Redirect> attach(XskMode mode, const Netns& ns, const NicSetup& setup,
                        std::string& loses_tags) {
  const bool fragments = setup.socket.multi_buffer;
  if (setup.software && mode != XskMode::generic) {
    auto redirect =
        Redirect::attach(ns, setup.ifindex, setup.steer, mode, fragments, OuterTag::in_metadata);
    if (redirect) return redirect;
    loses_tags = redirect.error().text();
  } else if (setup.software) {
    loses_tags = "generic mode cannot ask for them";
  }
  return Redirect::attach(ns, setup.ifindex, setup.steer, mode, fragments);
}

}  // namespace

Result<Nic> Nic::open(const Netns& ns, const NicSetup& setup, std::span<std::byte> memory) {
  if (setup.mode) return open_in(*setup.mode, ns, setup, memory);
  std::vector<std::string> refused;
  for (const XskMode mode : kBestFirst) {
    auto nic = open_in(mode, ns, setup, memory);
    if (nic) {
      nic->refused_ = std::move(refused);
      return nic;
    }
    if (mode == XskMode::generic) return nic;
    refused.push_back(nic.error().text());
  }
  panic("every mode has been tried");
}

Result<Nic> Nic::open_in(XskMode mode, const Netns& ns, const NicSetup& setup,
                         std::span<std::byte> memory) {
  // What other programs there are is found out before anything is changed.
  std::string loses_tags;
  auto redirect = attach(mode, ns, setup, loses_tags);
  if (!redirect) return pass(std::move(redirect));
  auto membership = listen(ns, setup.ifindex, setup.steer);
  if (!membership) return pass(std::move(membership));
  Nic nic(mode, setup.socket.multi_buffer, std::move(*redirect), std::move(*membership));
  nic.loses_tags_ = std::move(loses_tags);
  for (std::uint32_t queue = 0; queue < setup.queues; ++queue) {
    XskSetup socket = setup.socket;
    socket.queue = {static_cast<std::uint16_t>(queue)};
    socket.mode = mode;
    auto opened = Xsk::open(ns, socket, memory, setup.first_chunks[queue]);
    if (!opened) return pass(std::move(opened));
    nic.sockets_.push_back(std::make_unique<Xsk>(std::move(*opened)));
  }
  return nic;
}

Result<void> Nic::receive() {
  for (std::size_t queue = 0; queue < sockets_.size(); ++queue)
    if (auto added = redirect_.add({static_cast<std::uint16_t>(queue)}, sockets_[queue]->fd());
        !added)
      return added;
  return {};
}

Result<XskStatistics> Nic::statistics() const {
  XskStatistics sum{};
  for (const auto& socket : sockets_) {
    const auto read = socket->statistics();
    if (!read) return read;
    sum += *read;
  }
  return sum;
}

}  // namespace vethd
