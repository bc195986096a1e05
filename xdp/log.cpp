#include "xdp/log.hpp"

#include <bpf/libbpf.h>
#include <spdlog/spdlog.h>
#include <xdp/libxdp.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <memory>
#include <string_view>
#include <vector>

#include "daemon/core/panic.hpp"

namespace vethd {
namespace {

// A verifier's log has up to 16 MiB; how it ends is what tells the cause.
constexpr std::size_t kMaxWarningBytes = 64 * 1024;
constexpr std::size_t kLineBytes = 512;  // most lines

thread_local BpfWarnings* listener = nullptr;

std::string_view trimmed(std::string_view line) {
  const std::size_t first = line.find_first_not_of(" \t\n");
  if (first == line.npos) return {};
  return line.substr(first, line.find_last_not_of(" \t\n") - first + 1);
}

int print(bool warning, const char* format, va_list arguments) {
  const bool wanted = spdlog::should_log(spdlog::level::debug);
  if (!wanted && (!warning || listener == nullptr)) return 0;
  va_list again;
  va_copy(again, arguments);
  std::string text(kLineBytes, '\0');
  const int bytes = std::vsnprintf(text.data(), text.size(), format, arguments);
  text.resize(bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
  if (text.size() >= kLineBytes) std::vsnprintf(text.data(), text.size() + 1, format, again);
  va_end(again);
  if (wanted) spdlog::debug("{}", trimmed(text));
  if (warning && listener != nullptr) listener->add(text.c_str());
  return bytes;
}

int print_libbpf(libbpf_print_level level, const char* format, va_list arguments) {
  return print(level == LIBBPF_WARN, format, arguments);
}

int print_libxdp(libxdp_print_level level, const char* format, va_list arguments) {
  return print(level == LIBXDP_WARN, format, arguments);
}

}  // namespace

void route_bpf_log() {
  ::libbpf_set_print(&print_libbpf);
  ::libxdp_set_print(&print_libxdp);
}

BpfWarnings::BpfWarnings() {
  invariant(listener == nullptr, "one listens to libbpf at a time");
  listener = this;
}

BpfWarnings::~BpfWarnings() { listener = nullptr; }

void BpfWarnings::add(const char* text) {
  text_ += text;
  // Cut in the middle: the first line names the step, the last ones the cause.
  if (text_.size() > kMaxWarningBytes) text_.erase(kLineBytes, text_.size() - kMaxWarningBytes);
}

std::string BpfWarnings::cause() const {
  std::string_view first;
  std::string_view before;
  for (std::string_view rest = text_; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size() - 1);
    const std::string_view line = trimmed(rest.substr(0, end + 1));
    rest.remove_prefix(end + 1);
    // The verifier ends its log with "processed 12 insns (limit ...)", below its complaint.
    if (line.starts_with("processed ")) return std::string(before);
    if (first.empty()) first = line;
    if (!line.empty()) before = line;
  }
  return std::string(first);
}

}  // namespace vethd
