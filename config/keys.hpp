// Every configuration key, declared once, in keys/: parsing, suggestions, the listing and the test
// of the manual are walks over these tables.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/diagnostics.hpp"
#include "config/schema.hpp"
#include "config/value.hpp"

namespace vethd::config {

struct KeyInfo {
  std::string_view name;
  std::string_view unit;      // of the value, or its form
  std::string_view standard;  // value when left out, as it would be written, or in words
  std::string_view example;   // a right value, as it would be written
  std::int64_t min = 0;       // integers: the range; min == max: no integer
  std::int64_t max = 0;
  std::string_view rule;  // what values are right and why
  std::string_view help;
  std::optional<Driver> driver = {};  // of an end: set where the key belongs to one driver only
};

struct SectionInfo {
  std::string_view name;  // "[pair.a]"
  std::vector<KeyInfo> keys;
};

/// All keys, for listings: "[pair.a]" stands for both ends.
std::vector<SectionInfo> all_keys();

/// The keys of a [[pair]] itself; its machine is known only when all machines are.
struct PairKeys {
  std::string name;
  std::optional<std::string> softnet;
  std::optional<KernelVersion> kernel;
  Coalesce coalesce = Coalesce::automatic;
  std::optional<bool> gro;  // of both ends, where an end says nothing else
  std::optional<bool> tso;
  std::optional<bool> rx_udp_gro_forwarding;
  Written written;
};

// Each reads the entries of one section over what `to` holds; every entry must be a key of it.
void read_section(const Table& entries, std::string_view section, Daemon& to, Diagnostics& out);
void read_section(const Table& entries, std::string_view section, Softnet& to, Diagnostics& out);
void read_section(const Table& entries, std::string_view section, PairKeys& to, Diagnostics& out);
void read_section(const Table& entries, std::string_view section, End& to, Diagnostics& out);
void read_section(const Table& entries, std::string_view section, Metadata& to, Diagnostics& out);
void read_section(const Table& entries, std::string_view section, Xdp& to, Diagnostics& out);

/// The driver that a key of an end belongs to; nothing: to all of them.
std::optional<Driver> driver_of_end_key(std::string_view name);

/// True for the name of a key of [softnet]; anything else in it is a machine.
bool is_softnet_key(std::string_view name);

}  // namespace vethd::config
