#include "daemon/stats/text.hpp"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/stats/counters.hpp"

namespace vethd {
namespace {

namespace json = boost::json;

/// Where a frame is when the rows from this one on are counted. The rows come in the order of
/// VETHD_LEDGER, which is that of the path.
struct Stage {
  std::string_view first_row;
  std::string_view heading;
};
constexpr std::array kStages = {
    Stage{"rx_frames", "receive"},      Stage{"drop_length", "veth_xmit"},
    Stage{"mark_cleared", "scrub"},     Stage{"drop_dev_ready", "backlog"},
    Stage{"drop_napi_backlog", "NAPI"}, Stage{"split_frames", "validate_xmit"},
    Stage{"drop_write_eio", "write"},   Stage{"drop_removed", "removal"},
    Stage{"tx_frames", "transmit"},     Stage{"rx_no_buffer", "buffers"},
};

consteval bool is_in_ledger(std::string_view row) {
#define X(name, kind, unit, help) \
  if (row == #name) return true;
  VETHD_LEDGER(X)
#undef X
  return false;
}
static_assert(std::ranges::all_of(kStages, is_in_ledger, &Stage::first_row));

std::string text(const json::value& value) {
  return value.is_string() ? std::string(value.get_string()) : json::serialize(value);
}

std::string joined(const json::value& words, std::string_view separator) {
  std::string line;
  for (const json::value& word : words.as_array()) {
    if (!line.empty()) line += separator;
    line += text(word);
  }
  return line;
}

/// Cells under each other, two blanks between the columns.
class Table {
 public:
  enum class Column : std::uint8_t { left, right };

  Table(std::string indent, std::vector<Column> columns)
      : indent_(std::move(indent)), columns_(std::move(columns)), widths_(columns_.size()) {}

  void add(std::vector<std::string> cells) {
    for (std::size_t i = 0; i < cells.size(); ++i)
      widths_[i] = std::max(widths_[i], cells[i].size());
    rows_.push_back(std::move(cells));
  }

  [[nodiscard]] std::string text() const {
    std::string out;
    for (const std::vector<std::string>& cells : rows_) {
      std::string line = indent_;
      for (std::size_t i = 0; i < cells.size(); ++i) {
        if (i > 0) line += "  ";
        const std::string pad(widths_[i] - cells[i].size(), ' ');
        line += columns_[i] == Column::left ? cells[i] + pad : pad + cells[i];
      }
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + '\n';
    }
    return out;
  }

 private:
  std::string indent_;
  std::vector<Column> columns_;
  std::vector<std::size_t> widths_;  // characters
  std::vector<std::vector<std::string>> rows_;
};

using enum Table::Column;

/// One pair: a row per counter, a column per direction.
std::string ledger_text(const json::value& pair, Detail detail) {
  const json::value& a_to_b = pair.at("a_to_b");
  const json::value& b_to_a = pair.at("b_to_a");
  Table table("    ", {left, right, right, left, left});
  const auto heading = [&](std::string_view stage) { table.add({std::string(stage)}); };
  const auto row = [&](std::string_view name, std::string_view unit, std::string_view help,
                       const json::value& forth, const json::value& back) {
    std::vector<std::string> cells = {"  " + std::string(name), text(forth.at(name)),
                                      text(back.at(name))};
    if (detail == Detail::explained)
      cells.insert(cells.end(), {std::string(unit), std::string(help)});
    table.add(std::move(cells));
  };

  table.add({"", "a -> b", "b -> a"});
  heading("devices");
  for_each_device_counter(
      {}, {}, [&](std::string_view name, std::string_view unit, std::string_view help, auto) {
        row(name, unit, help, a_to_b, b_to_a);
      });
  for_each_counter(
      {}, [&](std::string_view name, auto, std::string_view unit, std::string_view help, auto) {
        const auto* stage = std::ranges::find(kStages, name, &Stage::first_row);
        if (stage != kStages.end()) heading(stage->heading);
        row(name, unit, help, a_to_b, b_to_a);
      });
  heading("in flight");
  for_each_in_flight({}, [&](std::string_view name, std::string_view help, auto) {
    row(name, "frames", help, a_to_b.at("in_flight_at"), b_to_a.at("in_flight_at"));
  });
  row("in_flight", "frames", "the sum of these", a_to_b, b_to_a);
  row("balanced", "",
      "rx_frames + split_frames = tx_frames + merged_frames + every drop + in_flight", a_to_b,
      b_to_a);
  return table.text();
}

/// Rows of one kind, each with the same keys; for_each visits (name, unit, help, ...).
std::string rows_text(std::string_view title, const json::value& rows,
                      const std::vector<std::string_view>& keys, auto for_each, Detail detail) {
  std::vector<std::string> names(keys.begin(), keys.end());
  Table legend("    ", {left, left, left});
  for_each([&](std::string_view name, std::string_view unit, std::string_view help, auto) {
    names.emplace_back(name);
    legend.add({std::string(name), std::string(unit), std::string(help)});
  });
  std::vector<Table::Column> columns(names.size(), right);
  columns.front() = left;
  Table table("    ", std::move(columns));
  table.add(names);
  for (const json::value& row : rows.as_array()) {
    std::vector<std::string> cells(names.size());
    std::ranges::transform(names, cells.begin(),
                           [&](const std::string& name) { return text(row.at(name)); });
    table.add(std::move(cells));
  }
  std::string out = std::string(title) + ":\n" + table.text();
  if (detail == Detail::explained) out += legend.text();
  return out;
}

/// "64 MiB": in the largest unit in which it is a whole number.
std::string size_text(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 4> kUnits = {"bytes", "KiB", "MiB", "GiB"};
  std::size_t unit = 0;
  for (; unit + 1 < kUnits.size() && bytes != 0 && bytes % 1024 == 0; ++unit) bytes /= 1024;
  return std::to_string(bytes) + ' ' + std::string(kUnits[unit]);
}

std::string name_text(const json::value& end) {
  return text(end.at("ifname")) + " netns " + text(end.at("netns"));
}

std::string xdp_text(const json::value& xdp) {
  if (xdp.is_null()) return {};
  std::string out = "       xdp " + text(xdp.at("program")) + " id " + text(xdp.at("id"));
  if (!xdp.at("object").is_null()) out += " object " + text(xdp.at("object"));
  out += "\n           " + text(xdp.at("mode_note"));
  out += "\n           verdicts";
  const json::value& verdicts = xdp.at("verdicts");
  if (verdicts.is_string()) {
    out += ' ' + text(verdicts) + ": " + text(xdp.at("verdicts_reason"));
  } else {
    for (const auto& [name, frames] : verdicts.as_object())
      out += ' ' + std::string(name) + ' ' + text(frames);
    if (xdp.at("tx_errors") != 0)
      out += "\n           tx_errors " + text(xdp.at("tx_errors")) +
             ": the other end has no program, and a veth sends nothing back to such a one";
  }
  return out + '\n';
}

std::string af_xdp_text(const json::value& af_xdp) {
  if (af_xdp.is_null()) return {};
  std::string out = "       af_xdp mode " + text(af_xdp.at("mode")) + ", asked " +
                    text(af_xdp.at("mode_asked")) + "; device driver " +
                    text(af_xdp.at("device_driver")) + " queues " +
                    text(af_xdp.at("device_queues")) + " steer " + text(af_xdp.at("steer"));
  if (af_xdp.at("multi_buffer").as_bool()) out += " multi-buffer";
  if (!af_xdp.at("attached").as_bool()) out += "\n           detached by force: start vethd again";
  for (const json::value& why : af_xdp.at("refused").as_array())
    out += "\n           refused: " + text(why);
  return out + '\n';
}

/// As ip -s link and ethtool -S.
std::string veth_text(const json::object& end) {
  if (!end.contains("stats")) return {};
  Table table("       ", {left, right, right, right, right});
  for (const std::string_view way : {"rx", "tx"}) {
    std::vector<std::string> head{way == "rx" ? "RX:" : "TX:"};
    std::vector<std::string> row{""};
    for (const std::string_view what : {"bytes", "packets", "errors", "dropped"}) {
      head.emplace_back(what);
      row.push_back(text(end.at("stats").at(std::string(way) + '_' + std::string(what))));
    }
    table.add(std::move(head));
    table.add(std::move(row));
  }
  std::string out = table.text();
  for (const auto& [name, value] : end.at("ethtool").as_object())
    out += "       " + std::string(name) + ": " + text(value) + '\n';
  return out;
}

std::string end_text(std::string_view side, const json::value& end) {
  std::string out = "    " + std::string(side) + ": " + name_text(end);
  out += " ifindex " + text(end.at("ifindex")) + " mtu " + text(end.at("mtu"));
  out += end.at("up").as_bool() ? " state UP" : " state DOWN";
  out += "\n       link/ether " + text(end.at("mac")) + " driver " + text(end.at("driver"));
  out += " queues " + text(end.at("queues"));
  const std::string offloads = joined(end.at("offloads"), " ");
  out += " offloads " + (offloads.empty() ? "none" : offloads) + "\n       features";
  for (const auto& [name, on] : end.at("features").as_object())
    out += ' ' + std::string(name) + (on.as_bool() ? " on" : " off");
  return out + '\n' + xdp_text(end.at("xdp")) + af_xdp_text(end.at("af_xdp")) +
         veth_text(end.as_object());
}

}  // namespace

std::string show_text(const json::object& show) {
  std::string out;
  if (show.at("pairs").as_array().empty())
    out += "no pairs: all were removed, the log says why; vethd makes them when it is started\n";
  for (const json::value& pair : show.at("pairs").as_array()) {
    out += text(pair.at("name")) + ": machine " + text(pair.at("machine"));
    out += pair.at("carrier").as_bool() ? " carrier on" : " carrier off";
    out += " coalesce " + text(pair.at("coalesce")) + '\n';
    out += end_text("a", pair.at("a")) + end_text("b", pair.at("b"));
  }
  const json::value& daemon = show.at("daemon");
  const json::value& io_uring = daemon.at("io_uring");
  out += "vethd " + text(daemon.at("version")) + ": pid " + text(daemon.at("pid"));
  out += " workers " + text(daemon.at("workers"));
  out += " memory " + size_text(daemon.at("memory_bytes").to_number<std::uint64_t>());
  out += " socket " + text(daemon.at("control_socket")) + '\n';
  out += "    io_uring: " + joined(io_uring.at("in_use"), ", ") + '\n';
  for (const json::value& missing : io_uring.at("missing").as_array())
    out += "    missing: " + text(missing) + '\n';
  return out;
}

std::string stats_text(const json::object& stats, Detail detail) {
  std::string out;
  for (const json::value& pair : stats.at("pairs").as_array()) {
    out += text(pair.at("name")) + ": machine " + text(pair.at("machine"));
    out += "\n    a: " + name_text(pair.at("a")) + "\n    b: " + name_text(pair.at("b")) + '\n';
    out += ledger_text(pair, detail);
  }
  out += rows_text(
      "softnet", stats.at("softnet"), {"machine", "cpu"},
      [](auto visit) { for_each_softnet({}, visit); }, detail);
  out += rows_text(
      "workers", stats.at("workers"), {"cpu"},
      [](auto visit) { for_each_worker_counter({}, visit); }, detail);
  return out;
}

std::string pretty_json(const json::value& value, std::size_t indent) {
  const auto line = [&](std::size_t depth) { return '\n' + std::string(depth, ' '); };
  constexpr std::size_t kStep = 4;
  std::string out;
  if (const json::object* object = value.if_object(); object != nullptr && !object->empty()) {
    for (const auto& [key, member] : *object) {
      out += (out.empty() ? "{" : ",") + line(indent + kStep) + json::serialize(key) + ": ";
      out += pretty_json(member, indent + kStep);
    }
    return out + line(indent) + '}';
  }
  if (const json::array* array = value.if_array(); array != nullptr && !array->empty()) {
    for (const json::value& member : *array) {
      out += (out.empty() ? "[" : ",") + line(indent + kStep);
      out += pretty_json(member, indent + kStep);
    }
    return out + line(indent) + ']';
  }
  return json::serialize(value);
}

}  // namespace vethd
