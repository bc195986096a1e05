// "Did you mean": the nearest of the names that exist.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace vethd::config {

/// The candidate nearest to word, or empty if none is near: a third of its letters may be wrong,
/// and leading words may be missing ("max_backlog" finds "netdev_max_backlog").
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

/// "did you mean 'mtu'?", or the list of all candidates.
std::string suggest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace vethd::config
