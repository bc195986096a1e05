// Which file, independent of its name. A network namespace is a file of the kernel's nsfs, so this
// says which namespace, too.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <compare>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>

namespace vethd {

struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  friend auto operator<=>(const FileId&, const FileId&) = default;
};

/// Nothing if there is no such file. A symbolic link is not followed.
inline std::optional<FileId> file_id(const std::string& path) {
  struct stat st{};
  if (::lstat(path.c_str(), &st) < 0) return std::nullopt;
  return FileId{.device = st.st_dev, .inode = st.st_ino};
}

inline std::optional<FileId> file_id(int fd) {
  struct stat st{};
  if (::fstat(fd, &st) < 0) return std::nullopt;
  return FileId{.device = st.st_dev, .inode = st.st_ino};
}

/// The kernel gives inode numbers of dead namespaces to new ones: the comparison means something
/// only while the namespace is held open.
using NetnsId = FileId;

}  // namespace vethd

template <>
struct std::hash<vethd::FileId> {
  std::size_t operator()(const vethd::FileId& id) const noexcept {
    return std::hash<ino_t>{}(id.inode) ^ (std::hash<dev_t>{}(id.device) << 1);
  }
};
