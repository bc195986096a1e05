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
#include <string>
#include <utility>

#include "config/schema.hpp"
#include "daemon/control/protocol.hpp"
#include "daemon/core/fd.hpp"
#include "daemon/core/result.hpp"
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
  Command command = Command::show;
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
Result<std::string> exchange(const Fd& socket, const std::string& path, Command command) {
  const std::string doing = "ask vethd at " + path;
  const std::string request = request_line(command);
  // Short enough that it is never sent in part.
  if (::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) {
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

std::string render(const boost::json::object& result, const Options& options) {
  if (options.json)
    return (options.pretty ? pretty_json(result) : boost::json::serialize(result)) + '\n';
  if (options.command == Command::show) return show_text(result);
  return stats_text(result, options.details ? Detail::explained : Detail::numbers);
}

int complain(const std::string& what) {
  std::fprintf(stderr, "vethctl: %s\n", what.c_str());
  return kExitFailed;
}

int ask(const Options& options) {
  const Result<Fd> socket = connect_to(options.socket);
  if (!socket) return complain(socket.error().text());
  const Result<std::string> line = exchange(*socket, options.socket, options.command);
  if (!line) return complain(line.error().text());
  const Answer answer = parse_answer(*line);
  if (!answer) return complain("vethd at " + options.socket + ": " + answer.error());
  std::string out;
  try {
    out = render(*answer, options);
  } catch (const std::exception&) {
    return complain("vethd at " + options.socket +
                    " answers in another form (is it of another version? -j prints what it says)");
  }
  if (std::fwrite(out.data(), 1, out.size(), stdout) != out.size() || std::fflush(stdout) != 0)
    return complain(fail("write to standard output").error().text());
  return EXIT_SUCCESS;
}

int run(int argc, char** argv) {
  Options options{.socket = config::Daemon{}.control_socket};
  CLI::App app{"Asks a running vethd."};
  app.set_version_flag("--version", std::string("vethctl ") + VETHD_VERSION);
  app.add_option("-s,--socket", options.socket, "control socket of vethd")->capture_default_str();
  CLI::Option* json = app.add_flag("-j,--json", options.json, "print JSON");
  app.add_flag("-p,--pretty", options.pretty, "with -j: one value per line")->needs(json);
  app.add_flag("-d,--details", options.details, "with stats: say what each row counts");
  app.require_subcommand(1);
  app.fallthrough();
  app.add_subcommand("show", "pairs, their ends, and the daemon")->callback([&] {
    options.command = Command::show;
  });
  app.add_subcommand("stats", "frames by stage and direction, softnet, workers")->callback([&] {
    options.command = Command::stats;
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
