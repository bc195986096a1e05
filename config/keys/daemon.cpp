// [daemon]

#include <sys/un.h>

#include "config/keys/readers.hpp"
#include "config/keys/sections.hpp"
#include "config/limits.hpp"
#include "config/literals.hpp"

namespace vethd::config {

namespace {

void read_control_socket(const Given& given, Daemon& to) {
  const std::string* path = string_of(given, given.value);
  if (path == nullptr) return;
  if (path->size() >= sizeof(sockaddr_un::sun_path)) {
    given.refuse(fmt::format("a socket path of {} characters does not fit the kernel's sun_path",
                             path->size()));
  } else if (!path->starts_with('/') || path->ends_with('/') ||
             path->find('\0') != std::string::npos) {
    given.refuse(fmt::format("{} is not the absolute path of a socket", quote(*path)));
  } else {
    to.control_socket = *path;
  }
}

void read_memory(const Given& given, Daemon& to) {
  if (std::holds_alternative<std::int64_t>(given.value.data)) {
    return given.refuse("memory without a unit");
  }
  const std::string* text = string_of(given, given.value);
  if (text == nullptr) return;
  const auto bytes = parse_size(*text);
  if (!bytes) return given.refuse(fmt::format("memory = {} is not a size", quote(*text)));
  if (*bytes > kMaxMemoryBytes) {
    return given.refuse(fmt::format("memory = {} is too much", quote(*text)));
  }
  to.memory_bytes = *bytes;
}

const std::array kDaemonKeys = {
    Key<Daemon>{{.name = "workers",
                 .unit = "threads",
                 .standard = "one per online CPU",
                 .example = "2",
                 .min = 1,
                 .max = kMaxWorkers,
                 .rule = "leave it out for one worker per online CPU, or write a number in range",
                 .help = "emulated CPUs; each is one thread with its own io_uring"},
                integer<&Daemon::workers>},
    Key<Daemon>{{.name = "cpu_affinity",
                 .unit = "CPU numbers",
                 .standard = "the scheduler decides",
                 .example = "[0, 1]",
                 .min = 0,
                 .max = kMaxCpu,
                 .rule = "write one online CPU for each worker",
                 .help = "the CPU that each worker is bound to"},
                cpu_list<&Daemon::cpu_affinity>},
    Key<Daemon>{{.name = "control_socket",
                 .unit = "path",
                 .standard = "\"/run/vethd/vethd.sock\"",
                 .example = "\"/run/vethd/vethd.sock\"",
                 .rule = "write an absolute path of at most 107 characters",
                 .help = "where vethctl finds the daemon"},
                read_control_socket},
    Key<Daemon>{{.name = "create_netns",
                 .unit = "boolean",
                 .standard = "true",
                 .example = "true",
                 .rule = "write true or false",
                 .help = "make named namespaces that do not exist, remove those on exit"},
                boolean<&Daemon::create_netns>},
    Key<Daemon>{{.name = "memory",
                 .unit = "KiB, MiB or GiB",
                 .standard = "\"64MiB\"",
                 .example = "\"64MiB\"",
                 .rule = "write a string with its unit (KiB, MiB, GiB), from 8MiB per worker up to "
                         "64GiB",
                 .help = "frame arena; left out, it grows to 8MiB for each worker and to what "
                         "AF_XDP ends need"},
                read_memory},
    Key<Daemon>{{.name = "busy_poll_usecs",
                 .unit = "us",
                 .standard = "0",
                 .example = "50",
                 .min = 0,
                 .max = kMaxBusyPollUsecs,
                 .rule = "write a time in range; 0 turns it off",
                 .help = "how long a worker that has nothing to do looks on before it sleeps; only "
                         "while traffic is frequent and nobody else wants the CPU"},
                integer<&Daemon::busy_poll_usecs>},
};

}  // namespace

std::vector<KeyInfo> daemon_keys() { return infos(kDaemonKeys); }

void read_section(const Table& entries, std::string_view section, Daemon& to, Diagnostics& out) {
  read_keys(kDaemonKeys, entries, section, to, out);
}

}  // namespace vethd::config
