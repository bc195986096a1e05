#include "tests/parity/report.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <sstream>

namespace vethd::parity {

namespace {

struct Row {
  unsigned number;
  const char* title;
  const char* otherwise;  // where a row without cases is proved; README.md says why not here
};

constexpr std::array kRows = {
    Row{1, "carrier and operstate", ""},
    Row{2, "forwardable lengths", ""},
    Row{3, "drop counters on both sides", ""},
    Row{4, "bytes of the NAPI and the backlog path", ""},
    Row{5, "backlog of max + 1", "unit tests, simulation"},
    Row{6, "flow limit", "unit tests"},
    Row{7, "weight, budget, time_squeeze", "unit tests, simulation"},
    Row{8, "RPS index and symmetry", "unit and property tests"},
    Row{9, "RFS moves a drained flow only", "unit tests, simulation"},
    Row{10, "ring of 256", "unit tests, simulation"},
    Row{11, "mask/unmask protocol", "unit tests, simulation"},
    Row{12, "pkt_type and protocol", ""},
    Row{13, "checksum metadata", ""},
    Row{14, "GRO", ""},
    Row{15, "removal takes both ends", ""},
    Row{16, "XDP programs", ""},
};

std::string show(const Values& values) {
  std::string text;
  for (const Value& value : values) {
    if (!text.empty()) text += "; ";
    text += value.name + " = " + value.text;
  }
  return text;
}

boost::json::object to_json(const Values& values) {
  boost::json::object object;
  for (const Value& value : values) object[value.name] = value.text;
  return object;
}

}  // namespace

unsigned Report::agreed() const {
  return static_cast<unsigned>(std::ranges::count_if(
      outcomes_, [](const Outcome& each) { return each.theirs && each.agrees(); }));
}

std::string Report::text() const {
  std::ostringstream out;
  out << "row | kernel | case | veth | vethd | verdict\n";
  for (const Outcome& each : outcomes_) {
    out << each.row << " | " << each.kernel << " | " << each.name << " | "
        << (each.theirs ? show(*each.theirs) : "-") << " | " << show(each.ours) << " | ";
    if (each.agrees()) {
      out << (each.theirs ? "agreed" : "as expected") << '\n';
    } else {
      out << "DIFFERS, expected: " << show(each.expected) << '\n';
    }
  }
  out << "\nrow | property | agreed with veth | on vethd alone as expected | differ\n";
  for (const Row& row : kRows) {
    unsigned with_veth = 0;
    unsigned elsewhere = 0;
    unsigned differ = 0;
    for (const Outcome& each : outcomes_) {
      if (each.row != row.number) continue;
      unsigned& count = !each.agrees() ? differ : (each.theirs ? with_veth : elsewhere);
      ++count;
    }
    out << row.number << " | " << row.title << " | ";
    if (*row.otherwise != '\0' && with_veth + elsewhere + differ == 0) {
      out << "explained in README.md: " << row.otherwise << '\n';
    } else {
      out << with_veth << " | " << elsewhere << " | " << differ << '\n';
    }
  }
  out << "\nparity: " << agreed() << " cases agreed with a real veth pair\n";
  return out.str();
}

std::string Report::json() const {
  boost::json::array cases;
  for (const Outcome& each : outcomes_) {
    boost::json::object one{{"row", each.row},
                            {"case", each.name},
                            {"kernel", each.kernel},
                            {"expected", to_json(each.expected)},
                            {"vethd", to_json(each.ours)},
                            {"agrees", each.agrees()}};
    if (each.theirs) one["veth"] = to_json(*each.theirs);
    cases.push_back(std::move(one));
  }
  return boost::json::serialize(boost::json::object{{"agreed", agreed()}, {"cases", cases}});
}

}  // namespace vethd::parity
