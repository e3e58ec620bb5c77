// Identifiers: ours (random, typed so that two cannot be swapped) and DICOM's (checked UIDs).
#pragma once

#include <compare>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"

namespace isthmus {

// An identifier that we made: 32 lower-case hex digits, time-ordered (48 bits of milliseconds, then
// random bits), so that rows arrive in index order. Never made of anything that came from outside.
template <typename Tag>
class Id {
 public:
  Id() = default;
  // Takes 32 lower-case hex digits; nothing otherwise.
  static std::optional<Id> parse(std::string_view text) {
    if (text.size() != 32) return std::nullopt;
    for (const char c : text) {
      if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return std::nullopt;
    }
    Id id;
    id.text_ = text;
    return id;
  }
  static Id make(Env& env) {
    Id id;
    id.text_ = make_id_text(env);
    return id;
  }

  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }
  bool operator==(const Id&) const = default;
  auto operator<=>(const Id&) const = default;

 private:
  std::string text_;
};

using InstanceId = Id<struct InstanceTag>;
using DeliveryId = Id<struct DeliveryTag>;
using BatchId = Id<struct BatchTag>;
using ImportJobId = Id<struct ImportJobTag>;

// A DICOM unique identifier: 1 to 64 characters, digits and dots, no empty component
// (PS3.5 section 9.1). Leading zeros in a component are tolerated: they occur in the field.
class Uid {
 public:
  Uid() = default;
  // Nothing when the rules are broken. Trailing NUL or space padding is not part of a UID: strip
  // first.
  static std::optional<Uid> parse(std::string_view text);

  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }
  bool operator==(const Uid&) const = default;
  auto operator<=>(const Uid&) const = default;

 private:
  std::string text_;
};

}  // namespace isthmus

template <typename Tag>
struct std::hash<isthmus::Id<Tag>> {
  std::size_t operator()(const isthmus::Id<Tag>& id) const {
    return std::hash<std::string>{}(id.text());
  }
};
template <>
struct std::hash<isthmus::Uid> {
  std::size_t operator()(const isthmus::Uid& uid) const {
    return std::hash<std::string>{}(uid.text());
  }
};
