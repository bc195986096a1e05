// vethctl: asks a running vethd and prints what it says.
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <CLI/CLI.hpp>
#include <array>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "config/schema.hpp"
#include "daemon/control/protocol.hpp"
#include "daemon/core/fd.hpp"
#include "daemon/core/result.hpp"
#include "daemon/process/descriptors.hpp"
#include "daemon/stats/softnet_stat.hpp"
#include "daemon/stats/text.hpp"

namespace vethd {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

// A daemon answers in milliseconds; longer than this, it is stuck.
constexpr timeval kPatience{.tv_sec = 10, .tv_usec = 0};

struct Options {
  std::string socket;
  bool json = false;
  bool pretty = false;
  bool details = false;
  std::vector<Request> requests = {};  // of one command
};

std::string hint_for(int code) {
  switch (code) {
    case ENOENT:
    case ECONNREFUSED:
      return "is vethd running? -s says where it listens";
    case EACCES:
    case EPERM:
      return "needs root, or write access to the socket";
    case EAGAIN:
      return "vethd listens but does not answer: see its log";
    default:
      return "";
  }
}

Result<Fd> connect_to(const std::string& path) {
  const std::string doing = "connect to " + path;
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof address.sun_path)
    return fail(doing, "a socket's path has at most 107 bytes", ENAMETOOLONG);
  path.copy(address.sun_path, path.size());
  Fd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!socket.is_open()) return fail(doing);
  // SO_SNDTIMEO bounds connect(), too.
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    if (::setsockopt(socket.get(), SOL_SOCKET, option, &kPatience, sizeof kPatience) < 0)
      return fail(doing);
  }
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    const int code = errno;
    return fail(doing, hint_for(code), code);
  }
  return socket;
}

/// One request and its answer, without the newline.
Result<std::string> exchange(const Fd& socket, const std::string& path, const Request& request) {
  const std::string doing = "ask vethd at " + path;
  const std::string question = request_line(request);
  if (question.size() > kMaxRequestBytes) return fail(doing, "no name is that long", EMSGSIZE);
  // Short enough that it is never sent in part.
  if (::send(socket.get(), question.data(), question.size(), MSG_NOSIGNAL) < 0) {
    const int code = errno;
    return fail(doing, hint_for(code), code);
  }
  std::string line;
  std::array<char, 1 << 16> chunk{};
  while (line.size() < kMaxAnswerBytes) {
    const ssize_t got = ::recv(socket.get(), chunk.data(), chunk.size(), 0);
    if (got < 0) {
      const int code = errno;
      return fail(doing, hint_for(code), code);
    }
    if (got == 0) return fail(doing, "it hung up: try again, and see its log", 0);
    line.append(chunk.data(), static_cast<std::size_t>(got));
    if (line.back() == '\n') {  // it says nothing unasked
      line.pop_back();
      return line;
    }
  }
  return fail(doing, "its answer has no end", EMSGSIZE);
}

/// "net.core.netdev_budget = 300", as sysctl(8).
std::string values_text(const boost::json::object& result) {
  std::string text;
  for (const auto& [name, value] : result.at("values").as_object())
    (((text += name) += " = ") += value.as_string()) += '\n';
  return text;
}

std::string render(const boost::json::object& result, const Options& options) {
  if (options.json)
    return (options.pretty ? pretty_json(result) : boost::json::serialize(result)) + '\n';
  switch (options.requests.front().command) {
    case Command::show:
    case Command::show_stats:
      return show_text(result);
    case Command::stats:
      return stats_text(result, options.details ? Detail::explained : Detail::numbers);
    case Command::softnet:
      return softnet_text(result);
    case Command::sysctl:
    case Command::set:
      return values_text(result);
  }
  std::unreachable();
}

/// The same command's next answer: `sysctl` and `set` ask for one value at a time.
void merge(boost::json::object& sum, const boost::json::object& part) {
  if (sum.empty()) {
    sum = part;
    return;
  }
  boost::json::object& values = sum.at("values").as_object();
  for (const auto& [name, value] : part.at("values").as_object()) values[name] = value;
}

int complain(const std::string& what) {
  std::fprintf(stderr, "vethctl: %s\n", what.c_str());
  return kExitFailed;
}

int print(const boost::json::object& result, const Options& options) {
  const std::string out = render(result, options);
  if (std::fwrite(out.data(), 1, out.size(), stdout) != out.size() || std::fflush(stdout) != 0)
    return complain(fail("write to standard output").error().text());
  return EXIT_SUCCESS;
}

int ask(const Options& options) {
  const Result<Fd> socket = connect_to(options.socket);
  if (!socket) return complain(socket.error().text());
  int exit_code = EXIT_SUCCESS;
  try {
    boost::json::object result;
    for (const Request& request : options.requests) {
      const Result<std::string> line = exchange(*socket, options.socket, request);
      if (!line) return complain(line.error().text());
      if (const Answer answer = parse_answer(*line)) {
        merge(result, *answer);
      } else {  // one bad name does not keep the others from being read or set, as with sysctl(8)
        exit_code = complain(answer.error());
      }
    }
    if (result.empty()) return exit_code;
    const int printed = print(result, options);
    return exit_code == EXIT_SUCCESS ? printed : exit_code;
  } catch (const std::exception&) {
    return complain("vethd at " + options.socket +
                    " answers in another form (is it of another version? -j prints what it says)");
  }
}

/// What stands on both sides of the first '='; nothing without one.
std::optional<std::pair<std::string, std::string>> assignment(const std::string& word) {
  const std::size_t sign = word.find('=');
  if (sign == std::string::npos) return std::nullopt;
  return std::pair{word.substr(0, sign), word.substr(sign + 1)};
}

int run(int argc, char** argv) {
  if (const auto opened = open_standard_descriptors(); !opened)
    return complain(opened.error().text());
  Options options{.socket = config::Daemon{}.control_socket};
  CLI::App app{"Asks a running vethd."};
  app.set_version_flag("--version", std::string("vethctl ") + VETHD_VERSION);
  app.add_option("-s,--socket", options.socket, "control socket of vethd")->capture_default_str();
  CLI::Option* json = app.add_flag("-j,--json", options.json, "print JSON");
  app.add_flag("-p,--pretty", options.pretty, "with -j: one value per line")->needs(json);
  app.add_flag("-d,--details", options.details, "with stats: say what each row counts");
  app.require_subcommand(1);
  app.fallthrough();
  std::optional<std::string> machine;
  const auto one = [&](Command command) {
    return [&, command] { options.requests = {{.command = command, .machine = machine}}; };
  };
  CLI::App* show = app.add_subcommand("show", "pairs, their ends, and the daemon");
  bool veth_stats = false;
  show->add_flag("-s,--statistics", veth_stats, "as ip -s link and ethtool -S print it of a veth");
  show->callback([&] { one(veth_stats ? Command::show_stats : Command::show)(); });
  app.add_subcommand("stats", "frames by stage and direction, softnet, workers")
      ->callback(one(Command::stats));

  CLI::App* softnet = app.add_subcommand(
      "softnet", "/proc/net/softnet_stat as the machine's kernel writes it; -j names the columns");
  softnet->add_option("-m,--machine", machine, "only this machine")->type_name("NAME");
  softnet->callback(one(Command::softnet));

  CLI::App* sysctl = app.add_subcommand(
      "sysctl",
      "read, or set, what the kernel of a machine has below net.core; all without a name");
  std::vector<std::string> names;
  bool all = false;
  bool write = false;
  sysctl->add_option("-m,--machine", machine, "of this machine [default]")->type_name("NAME");
  sysctl->add_flag("-w,--write", write, "every NAME must come with a VALUE");
  CLI::Option* every = sysctl->add_flag("-a,--all", all, "read all");
  sysctl->add_option("names", names, "net.core.netdev_budget, or net.core.netdev_budget=600")
      ->type_name("NAME[=VALUE]")
      ->excludes(every);
  sysctl->callback([&] {
    if (names.empty() && write) throw CLI::RequiredError("NAME=VALUE");
    if (names.empty()) return one(Command::sysctl)();
    for (const std::string& word : names) {
      Request request{.command = Command::sysctl, .machine = machine};
      if (const auto given = assignment(word)) {
        std::tie(request.name, request.value) = *given;
      } else if (write) {
        throw CLI::ValidationError("\"" + word + "\" must be of the form name=value");
      } else {
        request.name = word;
      }
      options.requests.push_back(std::move(request));
    }
  });

  CLI::App* set = app.add_subcommand("set", "change an end of a pair while it runs");
  std::string pair;
  std::string end;
  std::vector<std::string> settings;
  set->add_option("pair", pair, "its name")->required()->type_name("PAIR");
  set->add_option("end", end, "which end")->required()->type_name("a|b");
  set->add_option("settings", settings,
                  "rps_cpus=0,1 (or rps_cpus= for none), rx-1/rps_cpus=0 of one receive queue, "
                  "rps_flow_cnt=4096")
      ->required()
      ->type_name("KEY=VALUE");
  set->callback([&] {
    for (const std::string& word : settings) {
      const auto given = assignment(word);
      if (!given) throw CLI::ValidationError("\"" + word + "\" must be of the form key=value");
      options.requests.push_back({.command = Command::set,
                                  .name = given->first,
                                  .value = given->second,
                                  .pair = pair,
                                  .end = end});
    }
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& stop) {  // --help and --version, too
    return app.exit(stop) == 0 ? EXIT_SUCCESS : kExitUsage;
  }
  return ask(options);
}

}  // namespace
}  // namespace vethd

int main(int argc, char** argv) { return vethd::run(argc, argv); }
