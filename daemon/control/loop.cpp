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
};

class Loop::Watch {
 public:
  virtual ~Watch() = default;
};

namespace {

/// The descriptor may be closed by its owner while the watch still exists, so it is only borrowed.
class FdWatch final : public Loop::Watch {
 public:
  FdWatch(asio::io_context& context, int fd, Loop::Event event, Loop::Handler handler)
      : descriptor_(context, fd),
        wait_(event == Loop::Event::readable ? asio::posix::stream_descriptor::wait_read
                                             : asio::posix::stream_descriptor::wait_error),
        handler_(std::make_shared<Loop::Handler>(std::move(handler))) {
    arm();
  }
  ~FdWatch() override { static_cast<void>(descriptor_.release()); }

 private:
  void arm() {
    descriptor_.async_wait(wait_,
                           [this, handler = handler_](const boost::system::error_code& error) {
                             if (error == asio::error::operation_aborted) return;  // *this is gone
                             arm();
                             (*handler)();  // may end this watch
                           });
  }

  asio::posix::stream_descriptor descriptor_;
  asio::posix::stream_descriptor::wait_type wait_;
  std::shared_ptr<Loop::Handler> handler_;
};

class Timer final : public Loop::Watch {
 public:
  Timer(asio::io_context& context, std::chrono::milliseconds delay, Loop::Handler handler)
      : timer_(context, delay) {
    timer_.async_wait([handler = std::move(handler)](const boost::system::error_code& error) {
      if (!error) handler();
    });
  }

 private:
  asio::steady_timer timer_;
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
  for (const int signal : signals) impl_->signals.add(signal);
  impl_->signals.async_wait(
      [handler = std::move(handler)](const boost::system::error_code& error, int signal) {
        if (!error) handler(signal);
      });
}

void Loop::run() {
  const auto work = asio::make_work_guard(impl_->context);
  impl_->context.run();
}

void Loop::stop() { impl_->context.stop(); }

asio::io_context& Loop::context() { return impl_->context; }

}  // namespace vethd
