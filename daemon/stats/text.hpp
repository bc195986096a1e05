// The same for people: tables in the manner of `ip -s link`, from the JSON that the daemon sends.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstddef>
#include <cstdint>
#include <string>

namespace vethd {

enum class Detail : std::uint8_t {
  numbers,
  explained  // each row of a table with its unit and what it counts
};

/// Errors  boost::system::system_error or std::out_of_range on an answer of another shape, as a
///         daemon of another version may give.
std::string show_text(const boost::json::object& show);
std::string stats_text(const boost::json::object& stats, Detail detail);

/// One value per line, as `ip -j -p`; the lines after the first are indented by `indent` more.
std::string pretty_json(const boost::json::value& value, std::size_t indent = 0);

}  // namespace vethd
