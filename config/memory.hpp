// How much memory this process can have before the kernel kills it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace vethd::config {

struct MemoryLimit {
  std::uint64_t bytes = 0;  // 0: not known
  std::string who;          // "memory.max of cgroup /docker/4f2"
  bool can_be_raised = false;
};

/// The least of the machine's memory and of what the process's cgroup, of version 1 or 2, and those
/// above it may have.
///
/// root: below it are proc and sys, "/" but in tests.
MemoryLimit memory_limit(const std::filesystem::path& root = "/");

}  // namespace vethd::config
