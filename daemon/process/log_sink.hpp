// Where spdlog's lines go.
#pragma once

#include <spdlog/sinks/base_sink.h>

#include <functional>
#include <memory>
#include <mutex>

#include "daemon/process/line_output.hpp"
#include "daemon/process/log_limit.hpp"

namespace vethd {

/// Escapes, limits and writes without waiting. A line that is too many, or that nobody takes, is
/// counted, and the count is a line of its own later.
///
/// Threads  any.
class LogSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  /// fd stays the caller's.
  explicit LogSink(int fd) : output_(fd) {}

  /// Called, inside a log call, when the first line since say_left_out() was left out.
  void on_left_out(std::function<void()> told);

  /// Tries to; returns whether nothing is left to say.
  bool say_left_out();

 private:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}
  [[nodiscard]] std::string line(const spdlog::details::log_msg& message, std::string_view text);

  LineOutput output_;
  LogLimit limit_;
  std::function<void()> told_;
};

/// Makes this sink the log of the process, on stderr.
std::shared_ptr<LogSink> start_log();

}  // namespace vethd
