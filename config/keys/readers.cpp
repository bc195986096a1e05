#include "config/keys/readers.hpp"

namespace vethd::config {

/// The integer if it lies in the key's range.
std::optional<std::int64_t> integer_of(const Given& given, const Value& value) {
  const auto* number = std::get_if<std::int64_t>(&value.data);
  if (number == nullptr) {
    given.refuse_kind(value);
    return std::nullopt;
  }
  if (*number < given.key.min || *number > given.key.max) {
    given.refuse(value, fmt::format("{} = {} is not in {}..{}", given.key.name, *number,
                                    given.key.min, given.key.max));
    return std::nullopt;
  }
  return *number;
}

const std::string* string_of(const Given& given, const Value& value) {
  const auto* text = std::get_if<std::string>(&value.data);
  if (text == nullptr) given.refuse_kind(value);
  return text;
}

const Array* array_of(const Given& given) {
  const auto* array = std::get_if<Array>(&given.value.data);
  if (array == nullptr) given.refuse_kind(given.value);
  return array;
}

}  // namespace vethd::config
