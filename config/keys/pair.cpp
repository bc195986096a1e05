// [[pair]]

#include "config/kernel.hpp"
#include "config/keys/features.hpp"
#include "config/keys/readers.hpp"
#include "config/keys/sections.hpp"
#include "config/literals.hpp"

namespace vethd::config {

namespace {

constexpr std::array kCoalesce = {
    Choice<Coalesce>{name_of(Coalesce::automatic), Coalesce::automatic},
    Choice<Coalesce>{name_of(Coalesce::off), Coalesce::off},
    Choice<Coalesce>{name_of(Coalesce::always), Coalesce::always}};

void read_pair_name(const Given& given, PairKeys& to) {
  const std::string* text = string_of(given, given.value);
  if (text == nullptr) return;
  if (!is_plain_name(*text)) return given.refuse(fmt::format("{} is no pair name", quote(*text)));
  to.name = *text;
}

void read_pair_softnet(const Given& given, PairKeys& to) {
  if (const std::string* text = string_of(given, given.value)) to.softnet = *text;
}

const std::array kPairKeys = {
    Key<PairKeys>{{.name = "name",
                   .unit = "word",
                   .standard = "required",
                   .example = "\"web\"",
                   .rule = "write 1 to 63 printable characters without '/' or blanks",
                   .help = "what vethctl and the log call the pair"},
                  read_pair_name},
    Key<PairKeys>{{.name = "softnet",
                   .unit = "word",
                   .standard = "the default machine",
                   .example = "\"small\"",
                   .rule = "write the NAME of a [softnet.NAME]",
                   .help = "the machine that the pair joins"},
                  read_pair_softnet},
    Key<PairKeys>{{.name = "kernel",
                   .unit = "version",
                   .standard = "the default machine",
                   .example = "\"6.18\"",
                   .rule = "write \"4.14\", \"5.4\", \"6.1\", \"6.12\" or \"6.18\"",
                   .help = "instead of softnet: the machine with that version's defaults; the "
                           "default machine itself where it has that version"},
                  choice<&PairKeys::kernel, kKernels>},
    Key<PairKeys>{
        {.name = "coalesce",
         .unit = "word",
         .standard = "\"auto\"",
         .example = "\"always\"",
         .rule = "write \"auto\", \"off\" or \"always\"",
         .help = "write frames of a flow that leave in a row as one super-frame, but not "
                 "to an end with gro or xdp; \"auto\": only TCP from a network card whose "
                 "GRO is on, as without vethd; \"always\": TCP and UDP, which is faster "
                 "and can be noticed"},
        choice<&PairKeys::coalesce, kCoalesce>},
    Key<PairKeys>{kGro, boolean<&PairKeys::gro>},
    Key<PairKeys>{kTso, boolean<&PairKeys::tso>},
    Key<PairKeys>{kRxUdpGroForwarding, boolean<&PairKeys::rx_udp_gro_forwarding>},
    Key<PairKeys>{kRxGroList, [](const Given& given, PairKeys&) { read_rx_gro_list(given); }},
};

}  // namespace

std::vector<KeyInfo> pair_keys() { return infos(kPairKeys); }

void read_section(const Table& entries, std::string_view section, PairKeys& to, Diagnostics& out) {
  read_keys(kPairKeys, entries, section, to, out);
}

}  // namespace vethd::config
