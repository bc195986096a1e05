#include "daemon/process/log_sink.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>

#include "daemon/process/escape.hpp"

namespace vethd {

void LogSink::on_left_out(std::function<void()> told) {
  const std::lock_guard lock(mutex_);
  told_ = std::move(told);
}

std::string LogSink::line(const spdlog::details::log_msg& message, std::string_view text) {
  const std::string safe = escaped(text);
  spdlog::details::log_msg printed = message;
  printed.payload = safe;
  spdlog::memory_buf_t buffer;
  formatter_->format(printed, buffer);
  return {buffer.data(), buffer.size()};
}

void LogSink::sink_it_(const spdlog::details::log_msg& message) {
  const LogLimit::Kind kind{.file = message.source.filename, .line = message.source.line};
  const std::string_view text(message.payload.data(), message.payload.size());
  if (limit_.take(kind, LogLimit::Clock::now()) && output_.write(line(message, text))) return;
  const bool first = !limit_.anything_left_out();
  limit_.leave_out(kind, text);
  if (first && told_) told_();
}

bool LogSink::say_left_out() {
  const std::lock_guard lock(mutex_);
  limit_.say_left_out([this](std::uint64_t count, const std::string& last) {
    const spdlog::details::log_msg message("vethd", spdlog::level::warn, {});
    return output_.write(
        line(message, std::to_string(count) + " lines were left out, the last was: " + last));
  });
  return !limit_.anything_left_out();
}

std::shared_ptr<LogSink> start_log() {
  auto sink = std::make_shared<LogSink>(STDERR_FILENO);
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("vethd", sink));
  // The end of the line is LineOutput's.
  spdlog::set_formatter(
      std::make_unique<spdlog::pattern_formatter>("%l: %v", spdlog::pattern_time_type::local, ""));
  return sink;
}

}  // namespace vethd
