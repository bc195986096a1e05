#include "daemon/control/loop.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

namespace vethd {

namespace asio = boost::asio;

struct Loop::Impl {
  asio::io_context context{1};
  asio::signal_set signals{context};
  std::function<void(int)> on_signal;

  void wait_for_signal() {
    signals.async_wait([this](const boost::system::error_code& error, int signal) {
      if (error) return;
      on_signal(signal);
      wait_for_signal();
    });
  }
};

class Loop::Watch {
 public:
  virtual ~Watch() = default;
};

namespace {

// A completion that is queued already cannot be recalled by destroying what it completes; so the
// handlers hold on to the state, and the watch, at its end, says that nobody wants to hear it.

class FdWatch final : public Loop::Watch {
 public:
  FdWatch(asio::io_context& context, int fd, Loop::Event event, Loop::Handler handler)
      : state_(std::make_shared<State>(asio::posix::stream_descriptor(context, fd), event,
                                       std::move(handler))) {
    arm(state_);
  }
  ~FdWatch() override {
    state_->wanted = false;
    static_cast<void>(state_->descriptor.release());  // it was only borrowed
  }

 private:
  struct State {
    asio::posix::stream_descriptor descriptor;
    Loop::Event event;
    Loop::Handler handler;
    bool wanted = true;
  };

  static void arm(const std::shared_ptr<State>& state) {
    state->descriptor.async_wait(state->event == Loop::Event::readable
                                     ? asio::posix::stream_descriptor::wait_read
                                     : asio::posix::stream_descriptor::wait_error,
                                 [state](const boost::system::error_code& error) {
                                   if (error || !state->wanted) return;
                                   state->handler();
                                   if (state->wanted) arm(state);
                                 });
  }

  std::shared_ptr<State> state_;
};

class Timer final : public Loop::Watch {
 public:
  Timer(asio::io_context& context, std::chrono::milliseconds delay, Loop::Handler handler)
      : timer_(context, delay), wanted_(std::make_shared<bool>(true)) {
    timer_.async_wait(
        [wanted = wanted_, handler = std::move(handler)](const boost::system::error_code& error) {
          if (!error && *wanted) handler();
        });
  }
  ~Timer() override { *wanted_ = false; }

 private:
  asio::steady_timer timer_;
  std::shared_ptr<bool> wanted_;
};

}  // namespace

void Loop::FreeWatch::operator()(Watch* watch) const { delete watch; }

Loop::Loop() : impl_(std::make_unique<Impl>()) {}
Loop::~Loop() = default;

void Loop::post(Handler handler) { asio::post(impl_->context, std::move(handler)); }

Loop::WatchPtr Loop::watch(int fd, Event event, Handler handler) {
  return WatchPtr(new FdWatch(impl_->context, fd, event, std::move(handler)));
}

Loop::WatchPtr Loop::after(std::chrono::milliseconds delay, Handler handler) {
  return WatchPtr(new Timer(impl_->context, delay, std::move(handler)));
}

void Loop::on_signals(const std::vector<int>& signals, std::function<void(int)> handler) {
  for (const int signal : signals) {
    // One that somebody around us keeps for himself, as valgrind does, does not reach us either.
    boost::system::error_code kept;
    impl_->signals.add(signal, kept);
  }
  impl_->on_signal = std::move(handler);
  impl_->wait_for_signal();
}

void Loop::run() {
  const auto work = asio::make_work_guard(impl_->context);
  impl_->context.run();
}

void Loop::stop() { impl_->context.stop(); }

asio::io_context& Loop::context() { return impl_->context; }

}  // namespace vethd
