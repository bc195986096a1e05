// Rows 1 and 15: carrier, operstate and the end of a pair.
#include "tests/parity/case.hpp"

namespace vethd::parity {

namespace {

constexpr const char* kUp = "up carrier UP mtu 1500";
constexpr const char* kAlone = "up no-carrier DOWN mtu 1500";
constexpr const char* kDown = "down no-carrier DOWN mtu 1500";
constexpr const char* kGone = "gone";

const Step a_up = host("ip -n red link set parity0 up");
const Step a_down = host("ip -n red link set parity0 down");
const Step b_up = host("ip -n blue link set parity1 up");
const Step b_down = host("ip -n blue link set parity1 down");
const Step a_del = host("ip -n red link del parity0");
const Step b_del = host("ip -n blue link del parity1");

Case links(unsigned row, std::string name, std::vector<Step> steps, const char* a, const char* b) {
  return {.row = row,
          .name = std::move(name),
          .steps = std::move(steps),
          .expected = {{"a link", a}, {"b link", b}}};
}

}  // namespace

std::vector<Case> link_cases() {
  const Input frame = ethernet({.bytes = 60});
  return {
      links(1, "both ends up", {}, kUp, kUp),
      links(1, "a down", {a_down}, kDown, kAlone),
      links(1, "b down", {b_down}, kAlone, kDown),
      links(1, "both down", {a_down, b_down}, kDown, kDown),
      links(1, "a down and up", {a_down, a_up}, kUp, kUp),
      links(1, "b down and up", {b_down, b_up}, kUp, kUp),
      links(1, "both down, a up", {a_down, b_down, a_up}, kAlone, kDown),
      links(1, "both down, b up", {a_down, b_down, b_up}, kDown, kAlone),
      links(1, "both down, a up, b up", {a_down, b_down, a_up, b_up}, kUp, kUp),
      links(1, "both down, b up, a up", {b_down, a_down, b_up, a_up}, kUp, kUp),
      links(1, "a down twice", {a_down, a_down}, kDown, kAlone),
      links(1, "a down, b down and up", {a_down, b_down, b_up}, kDown, kAlone),
      links(1, "b moved", {move(Side::b, "green")}, kAlone, kDown),
      links(1, "b moved and up", {move(Side::b, "green"), host("ip -n green link set parity1 up")},
            kUp, kUp),
      links(1, "a moved", {move(Side::a, "green")}, kDown, kAlone),
      links(1, "both moved to one namespace and up",
            {move(Side::a, "green"), move(Side::b, "green"),
             host("ip -n green link set parity0 up"), host("ip -n green link set parity1 up")},
            kUp, kUp),
      links(1, "b moved away and back", {move(Side::b, "green"), move(Side::b, "blue"), b_up}, kUp,
            kUp),
      links(1, "mtu of b changed", {host("ip -n blue link set parity1 mtu 1400")}, kUp,
            "up carrier UP mtu 1400"),
      links(1, "mtu of a changed while b is down",
            {b_down, host("ip -n red link set parity0 mtu 9000")}, "up no-carrier DOWN mtu 9000",
            kDown),
      {.row = 1,
       .name = "a frame while b is down is lost without a word",
       .steps = {b_down, until(Side::a, kAlone), from_a({frame})},
       .expected = {{"sent", "ok"}, {"b got", ""}, {"a link", kAlone}}},
      {.row = 1,
       .name = "a frame from an end that is down is refused",
       .steps = {a_down, from_a({frame})},
       .expected = {{"sent", "ENETDOWN"}, {"b got", ""}}},
      {.row = 1,
       .name = "a frame after down and up arrives",
       .steps = {b_down, until(Side::a, kAlone), from_a({frame}), b_up, until(Side::a, kUp),
                 from_a({ethernet({.seed = 2})})},
       .expected = {{"sent", "ok ok"}, {"b got", "2"}, {"b link", kUp}}},
      {.row = 1,
       .name = "a renamed end goes on",
       .steps = {b_down, host("ip -n blue link set parity1 name uplink"),
                 host("ip -n blue link set uplink up"), until(Side::a, kUp), from_a({frame}),
                 from_b({frame})},
       .expected = {{"sent", "ok ok"}, {"b got", "1"}, {"a got", "1"}, {"a link", kUp}}},

      links(15, "a deleted", {a_del}, kGone, kGone),
      links(15, "b deleted", {b_del}, kGone, kGone),
      links(15, "a deleted while b is down", {b_down, a_del}, kGone, kGone),
      links(15, "a deleted while both are down", {a_down, b_down, a_del}, kGone, kGone),
      links(15, "namespace of b deleted", {leave(Side::b), host("ip netns del blue")}, kGone,
            kGone),
      links(15, "namespace of a deleted", {leave(Side::a), host("ip netns del red")}, kGone, kGone),
      links(15, "b moved and deleted",
            {move(Side::b, "green"), host("ip -n green link del parity1")}, kGone, kGone),
      links(15, "b moved and its namespace deleted",
            {move(Side::b, "green"), leave(Side::b), host("ip netns del green")}, kGone, kGone),
  };
}

}  // namespace vethd::parity
