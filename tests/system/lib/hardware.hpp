// The NICs of a machine that tests/vm/boot.sh has started, and what can be done to them from
// outside.
#pragma once

#include <string>

namespace vethd::system_test {

/// What keeps the tests of NICs from running here; empty when nothing does.
std::string missing_hardware();

/// Moves a NIC of the machine, "eth0" for its first, from the machine's own namespace to another;
/// down, with its name. It is back some time after that namespace has gone.
void take_device(const std::string& ifname, const std::string& netns);

/// `ethtool -L IFNAME combined COUNT`; no more than it has.
void set_channels(const std::string& netns, const std::string& ifname, unsigned count);

/// Plugs its cable in or out, through the monitor of the machine.
void plug_cable(const std::string& ifname, bool in);

/// Where it is in the machine: "0000:01:00.0".
std::string slot_of(const std::string& netns, const std::string& ifname);

/// Takes the device out, or only its driver off it.
void remove_device(const std::string& slot);
void unbind_driver(const std::string& slot);
/// Puts back what was taken out of this slot, into the machine's own namespace.
void put_back(const std::string& slot);

}  // namespace vethd::system_test
