#include "config/schema.hpp"

#include "daemon/core/panic.hpp"

namespace vethd::config {

std::string NetnsRef::label() const {
  switch (kind) {
    case Kind::own:
      return "own";
    case Kind::name:
    case Kind::path:
      return text;
    case Kind::pid:
      return "pid " + std::to_string(pid);
  }
  panic("a namespace is named in one of the known ways");
}

}  // namespace vethd::config
