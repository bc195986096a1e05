// Numbers and masks as the kernel reads them from a file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/core/ids.hpp"
#include "daemon/core/result.hpp"

namespace vethd {

/// Decimal, 0x hexadecimal or 0 octal, perhaps negative; a second word is not looked at. None:
/// anything else, what does not fit an int, and what is longer than any int.
///
/// Emulates  kernel/sysctl.c: proc_dointvec().
std::optional<std::int32_t> parse_int(std::string_view text);

/// Hexadecimal in groups of 32 bits, "ff,00000001", with commas or blanks between; nothing: empty.
///
/// Emulates  lib/bitmap-str.c: bitmap_parse().
/// Errors    EINVAL, or EOVERFLOW for a CPU that is not there.
Result<std::vector<CpuId>> parse_cpu_mask(std::string_view text, std::uint32_t cpus);

/// Emulates  lib/vsprintf.c: "%*pb" of a mask of so many CPUs.
std::string cpu_mask_text(const std::vector<CpuId>& mask, std::uint32_t cpus);

}  // namespace vethd
