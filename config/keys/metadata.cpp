// [pair.a.metadata] and [pair.b.metadata]

#include "config/keys/readers.hpp"
#include "config/keys/sections.hpp"

namespace vethd::config {

namespace {

const std::array kMetadataKeys = {
    Key<Metadata>{{.name = "mark",
                   .unit = "number",
                   .standard = "0",
                   .example = "7",
                   .min = 0,
                   .max = UINT32_MAX,
                   .rule = "skb->mark has 32 bits",
                   .help = "skb->mark, as SO_MARK or a firewall sets it"},
                  integer<&Metadata::mark>},
    Key<Metadata>{{.name = "priority",
                   .unit = "number",
                   .standard = "0",
                   .example = "3",
                   .min = 0,
                   .max = UINT32_MAX,
                   .rule = "skb->priority has 32 bits",
                   .help = "skb->priority, as SO_PRIORITY sets it"},
                  integer<&Metadata::priority>},
    Key<Metadata>{{.name = "classid",
                   .unit = "major << 16 + minor",
                   .standard = "0",
                   .example = "0x100001",
                   .min = 0,
                   .max = UINT32_MAX,
                   .rule = "a traffic class has 32 bits: 0x100001 is 10:1",
                   .help = "net_cls.classid of the sending socket's cgroup"},
                  integer<&Metadata::classid>},
};

}  // namespace

std::vector<KeyInfo> metadata_keys() { return infos(kMetadataKeys); }

void read_section(const Table& entries, std::string_view section, Metadata& to, Diagnostics& out) {
  read_keys(kMetadataKeys, entries, section, to, out);
}

}  // namespace vethd::config
