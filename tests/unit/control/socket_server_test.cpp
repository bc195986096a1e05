#include "daemon/control/socket_server.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/core/fd.hpp"

namespace vethd {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
namespace asio = boost::asio;
namespace fs = std::filesystem;

constexpr timeval kDeadline{.tv_sec = 10, .tv_usec = 0};  // of everything that must happen at once
constexpr auto kForever = 1h;                             // for tests that are not about patience
constexpr auto kImpatient = 50ms;

const std::string kShow = "{\"command\":\"show\"}\n";
const std::string kStats = "{\"command\":\"stats\"}\n";
const std::string kShown = "{\"ok\":true,\"result\":{\"answer\":\"show\"}}\n";
const std::string kCounted = "{\"ok\":true,\"result\":{\"answer\":\"stats\"}}\n";

/// A client of the socket, as good or bad as the test wants it.
class Guest {
 public:
  explicit Guest(const std::string& path) : Guest() { connect(path); }
  Guest() : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO})
      ::setsockopt(socket_.get(), SOL_SOCKET, option, &kDeadline, sizeof kDeadline);
  }

  void connect(const std::string& path) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0)
        << errno;
  }

  void send(const std::string& bytes) {
    for (std::size_t sent = 0; sent < bytes.size();) {
      const ssize_t n =
          ::send(socket_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n < 0) return;  // hung up on: the test looks at what was said
      sent += static_cast<std::size_t>(n);
    }
  }

  void end_sending() { ::shutdown(socket_.get(), SHUT_WR); }

  /// Up to and including the next newline; what there was, if the server hangs up first.
  std::string receive_line() {
    std::string line;
    char c = 0;
    while ((line.empty() || line.back() != '\n') && ::recv(socket_.get(), &c, 1, 0) == 1) line += c;
    return line;
  }

  /// Whether the server hangs up, after any number of bytes and before the deadline.
  testing::AssertionResult is_hung_up_on() {
    std::array<char, 1 << 16> chunk{};
    ssize_t got = 0;
    do got = ::recv(socket_.get(), chunk.data(), chunk.size(), 0);
    while (got > 0);
    if (got == 0 || errno == ECONNRESET) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "still connected: errno " << errno;
  }

 private:
  Fd socket_;
};

class SocketServerTest : public testing::Test {
 protected:
  SocketServerTest() {
    std::string directory = (fs::temp_directory_path() / "vethd-control-XXXXXX").string();
    if (::mkdtemp(directory.data()) == nullptr)
      throw std::system_error(errno, std::generic_category());
    directory_ = directory;
    path_ = directory_ / "vethd.sock";
  }

  ~SocketServerTest() override {
    stop();
    fs::remove_all(directory_);
  }

  /// Answers each command with its name.
  static void echo(const Request& request, const SocketServer::Reply& reply) {
    reply(boost::json::object{{"answer", request.command == Command::show ? "show" : "stats"}});
  }

  void serve(SocketServer::Handler handler = echo, std::chrono::milliseconds patience = kForever) {
    auto server = SocketServer::listen(io_, path_, std::move(handler), patience);
    ASSERT_TRUE(server) << server.error().text();
    server_.emplace(std::move(*server));
    thread_ = std::thread([this] { io_.run(); });
  }

  /// Runs fn in the server's thread and waits for it.
  void in_server_thread(std::function<void()> fn) {
    std::promise<void> done;
    asio::post(io_, [&] {
      fn();
      done.set_value();
    });
    done.get_future().wait();
  }

  void stop() {
    if (!thread_.joinable()) return;
    in_server_thread([this] { server_.reset(); });
    work_.reset();
    thread_.join();
  }

  void expect_service() {
    Guest guest(path_);
    guest.send(kStats);
    EXPECT_EQ(guest.receive_line(), kCounted);
  }

  fs::path directory_;
  fs::path path_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  std::optional<SocketServer> server_;
  std::thread thread_;
};

TEST_F(SocketServerTest, AnswersARequest) {
  serve();
  Guest guest(path_);
  guest.send(kShow);
  EXPECT_EQ(guest.receive_line(), kShown);
}

TEST_F(SocketServerTest, AnswersOneRequestAfterAnother) {
  serve();
  Guest guest(path_);
  for (int i = 0; i < 3; ++i) {
    guest.send(kShow);
    EXPECT_EQ(guest.receive_line(), kShown);
  }
}

TEST_F(SocketServerTest, AnswersPipelinedRequestsInOrder) {
  serve();
  Guest guest(path_);
  std::string requests;
  constexpr int kRounds = 500;  // more than one buffer of requests
  for (int i = 0; i < kRounds; ++i) requests += kShow + kStats;
  const std::jthread sender([&] { guest.send(requests); });
  for (int i = 0; i < kRounds; ++i) {
    ASSERT_EQ(guest.receive_line(), kShown);
    ASSERT_EQ(guest.receive_line(), kCounted);
  }
}

TEST_F(SocketServerTest, AnswersAGuestThatHasEndedSending) {
  serve();
  Guest guest(path_);
  guest.send(kShow);
  guest.end_sending();
  EXPECT_EQ(guest.receive_line(), kShown);
  EXPECT_TRUE(guest.is_hung_up_on());
}

TEST_F(SocketServerTest, AnswersARequestThatComesInPieces) {
  serve();
  Guest guest(path_);
  for (const char c : kShow) guest.send(std::string(1, c));
  EXPECT_EQ(guest.receive_line(), kShown);
}

TEST_F(SocketServerTest, PassesTheHandlersErrorOn) {
  serve([](const Request&, const SocketServer::Reply& reply) { reply(std::unexpected("busy"s)); });
  Guest guest(path_);
  guest.send(kShow);
  EXPECT_EQ(guest.receive_line(), "{\"ok\":false,\"error\":\"busy\"}\n");
}

TEST_F(SocketServerTest, SaysWhatIsWrongWithGarbageAndGoesOn) {
  serve();
  Guest guest(path_);
  for (const std::string& garbage :
       {"\n"s, "stats\n"s, "\0\0\0\n"s, "\xff\xfe\n"s, "{\"command\":7}\n"s,
        std::string(kMaxRequestBytes - 1, '[') + '\n'}) {
    guest.send(garbage);
    EXPECT_TRUE(guest.receive_line().starts_with("{\"ok\":false,\"error\":\"")) << garbage;
  }
  guest.send(kShow);
  EXPECT_EQ(guest.receive_line(), kShown);
}

TEST_F(SocketServerTest, HangsUpOnALineWithoutEnd) {
  serve();
  Guest guest(path_);
  guest.send(std::string(kMaxRequestBytes, 'x'));
  EXPECT_EQ(guest.receive_line(),
            "{\"ok\":false,\"error\":\"a request has at most 4096 bytes\"}\n");
  EXPECT_TRUE(guest.is_hung_up_on());
  Guest insistent(path_);
  insistent.send(std::string(4 << 20, 'x'));
  EXPECT_TRUE(insistent.is_hung_up_on());
  expect_service();
}

TEST_F(SocketServerTest, HangsUpOnAGuestThatSaysNothing) {
  serve(echo, kImpatient);
  Guest silent(path_);
  Guest half(path_);
  half.send("{\"command\":");
  EXPECT_TRUE(silent.is_hung_up_on());
  EXPECT_TRUE(half.is_hung_up_on());
  expect_service();
}

TEST_F(SocketServerTest, HangsUpOnAGuestThatNeverReadsItsAnswer) {
  const std::string much(8 << 20, 'x');  // more than the socket's buffers hold
  serve(
      [&](const Request& request, const SocketServer::Reply& reply) {
        if (request.command == Command::stats) return echo(request, reply);
        reply(boost::json::object{{"much", much}});
      },
      kImpatient);
  Guest deaf(path_);
  deaf.send(kShow);
  expect_service();
  Guest waiting(path_);  // hung up on after the deaf one, which came first
  EXPECT_TRUE(waiting.is_hung_up_on());
  const std::string heard = deaf.receive_line();
  EXPECT_LT(heard.size(), much.size());
}

TEST_F(SocketServerTest, HangsUpWhenTheHandlerTakesTooLong) {
  SocketServer::Reply forgotten;
  serve([&](const Request&, SocketServer::Reply reply) { forgotten = std::move(reply); },
        kImpatient);
  Guest guest(path_);
  guest.send(kShow);
  EXPECT_TRUE(guest.is_hung_up_on());
  in_server_thread([&] { forgotten(boost::json::object{}); });  // heard by nobody
}

TEST_F(SocketServerTest, ServesOthersWhileAnAnswerIsBeingMade) {
  std::promise<SocketServer::Reply> asked;
  serve([&](const Request& request, SocketServer::Reply reply) {
    if (request.command == Command::stats) return echo(request, reply);
    asked.set_value(std::move(reply));
  });
  Guest waiting(path_);
  waiting.send(kShow);
  const SocketServer::Reply reply = asked.get_future().get();
  expect_service();
  in_server_thread([&] { echo({.command = Command::show}, reply); });
  EXPECT_EQ(waiting.receive_line(), kShown);
}

TEST_F(SocketServerTest, SurvivesGuestsThatLeaveBeforeTheirAnswer) {
  std::vector<SocketServer::Reply> replies;
  std::promise<void> all_asked;
  constexpr std::size_t kGuests = 8;
  serve([&](const Request& request, SocketServer::Reply reply) {
    if (request.command == Command::stats) return echo(request, reply);
    replies.push_back(std::move(reply));
    if (replies.size() == kGuests) all_asked.set_value();
  });
  for (std::size_t i = 0; i < kGuests; ++i) Guest(path_).send(kShow);
  all_asked.get_future().wait();
  in_server_thread([&] {
    for (const SocketServer::Reply& reply : replies) echo({.command = Command::show}, reply);
  });
  expect_service();
}

TEST_F(SocketServerTest, AGuestTooManyTakesThePlaceOfTheLongestSilent) {
  serve();
  std::vector<Guest> guests;
  for (std::size_t i = 0; i < SocketServer::kMaxConnections; ++i) {
    guests.emplace_back(path_);
    guests.back().send(kShow);
    ASSERT_EQ(guests.back().receive_line(), kShown);
  }
  guests[0].send(kShow);  // no longer the one that was silent longest
  ASSERT_EQ(guests[0].receive_line(), kShown);
  expect_service();
  EXPECT_TRUE(guests[1].is_hung_up_on());
  for (std::size_t i = 2; i < guests.size(); ++i) {
    guests[i].send(kStats);
    EXPECT_EQ(guests[i].receive_line(), kCounted) << i;
  }
  guests[0].send(kStats);
  EXPECT_EQ(guests[0].receive_line(), kCounted);
}

TEST_F(SocketServerTest, AcceptsAgainWhenDescriptorsAreBack) {
  serve();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  Guest guest;
  const Fd lowest_free(::dup(STDERR_FILENO));
  const rlimit none{.rlim_cur = static_cast<rlim_t>(lowest_free.get()),
                    .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  guest.connect(path_);
  guest.send(kShow);
  in_server_thread([] {});  // accept() has failed by now, or is about to
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(guest.receive_line(), kShown);
}

TEST_F(SocketServerTest, HangsUpOnEverybodyWhenItEnds) {
  SocketServer::Reply late;
  std::promise<void> asked;
  serve([&](const Request& request, SocketServer::Reply reply) {
    if (request.command == Command::stats) return echo(request, reply);
    late = std::move(reply);
    asked.set_value();
  });
  Guest idle(path_);
  idle.send(kStats);
  ASSERT_EQ(idle.receive_line(), kCounted);
  Guest waiting(path_);
  waiting.send(kShow);
  asked.get_future().wait();
  in_server_thread([&] {
    server_.reset();
    late(boost::json::object{});
  });
  EXPECT_TRUE(idle.is_hung_up_on());
  EXPECT_TRUE(waiting.is_hung_up_on());
}

TEST_F(SocketServerTest, MakesTheSocketForRootAndItsGroup) {
  const mode_t umask_before = ::umask(0);
  serve();
  ::umask(umask_before);
  struct stat st{};
  ASSERT_EQ(::stat(path_.c_str(), &st), 0);
  EXPECT_TRUE(S_ISSOCK(st.st_mode));
  EXPECT_EQ(st.st_mode & 07777, 0660U);
}

TEST_F(SocketServerTest, RefusesANameThatIsTaken) {
  serve();
  const auto second = SocketServer::listen(io_, path_, echo);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EADDRINUSE);
}

TEST_F(SocketServerTest, RefusesAPathThatIsTooLong) {
  const auto server = SocketServer::listen(io_, directory_ / std::string(108, 'x'), echo);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().code, ENAMETOOLONG);
}

TEST_F(SocketServerTest, LiveSocketIsLeftToItsDaemon) {
  serve();
  const auto removed = remove_stale_socket(path_);
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().code, EADDRINUSE);
  EXPECT_NE(removed.error().text().find("another vethd"), std::string::npos);
  EXPECT_NE(removed.error().text().find(path_.string()), std::string::npos);
  expect_service();
}

TEST_F(SocketServerTest, StaleSocketIsReplaced) {
  serve();
  stop();
  ASSERT_TRUE(fs::is_socket(path_));  // the server leaves the name to whoever registered it
  const auto removed = remove_stale_socket(path_);
  ASSERT_TRUE(removed) << removed.error().text();
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(SocketServerTest, OtherFilesAreNeverRemoved) {
  std::ofstream(path_) << "precious";
  EXPECT_FALSE(remove_stale_socket(path_));
  fs::create_symlink(path_, directory_ / "link");
  EXPECT_FALSE(remove_stale_socket(directory_ / "link"));
  fs::create_symlink("/nowhere", directory_ / "dangling");
  EXPECT_FALSE(remove_stale_socket(directory_ / "dangling"));
  EXPECT_FALSE(remove_stale_socket(directory_));
  EXPECT_TRUE(fs::exists(path_));
}

TEST_F(SocketServerTest, NoSocketIsNotStale) { EXPECT_TRUE(remove_stale_socket(path_)); }

TEST_F(SocketServerTest, DirectoryIsMissingUntilItIsMade) {
  const std::string path = directory_ / "run" / "vethd.sock";
  const auto missing = missing_directory(path);
  ASSERT_EQ(missing, directory_ / "run");
  ASSERT_TRUE(make_directory(*missing));
  EXPECT_EQ(missing_directory(path), std::nullopt);
  EXPECT_FALSE(make_directory(*missing));  // not ours to remove, then
  EXPECT_EQ(missing_directory("/vethd.sock"), std::nullopt);
  const auto too_deep = make_directory(directory_ / "not" / "there");
  ASSERT_FALSE(too_deep);
  EXPECT_EQ(too_deep.error().code, ENOENT);
}

}  // namespace
}  // namespace vethd
