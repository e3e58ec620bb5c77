#include "model/metadata.h"

#include <algorithm>
#include <array>

#include "model/metadata_update.h"

namespace isthmus {
namespace {

constexpr std::array<std::string_view, 3> kActionNames{"set", "remove", "remove_instance"};
constexpr std::array<std::string_view, 3> kKindNames{"change", "exact", "revert"};

// Without the spaces before the closing quote of a JSON text.
std::string_view unpadded(std::string_view text, bool& quoted) {
  quoted = text.size() >= 2 && text.front() == '"' && text.back() == '"';
  if (!quoted) return text;
  text = text.substr(1, text.size() - 2);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::string_view to_string(AttributeAction action) {
  return kActionNames[static_cast<std::size_t>(action)];
}

std::optional<AttributeAction> attribute_action_from(std::string_view text) {
  for (std::size_t i = 0; i < kActionNames.size(); ++i) {
    if (kActionNames[i] == text) return static_cast<AttributeAction>(i);
  }
  return std::nullopt;
}

std::string_view to_string(MetadataUpdateKind kind) {
  return kKindNames[static_cast<std::size_t>(kind)];
}

std::optional<MetadataUpdateKind> metadata_update_kind_from(std::string_view text) {
  for (std::size_t i = 0; i < kKindNames.size(); ++i) {
    if (kKindNames[i] == text) return static_cast<MetadataUpdateKind>(i);
  }
  return std::nullopt;
}

bool same_value(const std::optional<std::string>& a, const std::optional<std::string>& b) {
  if (!a || !b) return !a && !b;
  bool a_quoted = false, b_quoted = false;
  const std::string_view left = unpadded(*a, a_quoted);
  const std::string_view right = unpadded(*b, b_quoted);
  return a_quoted == b_quoted && left == right;
}

bool is_of_whole_study(const MetadataChange& change) {
  return std::all_of(
      change.attributes.begin(), change.attributes.end(), [](const AttributeChange& one) {
        return one.level == MetadataLevel::patient || one.level == MetadataLevel::study;
      });
}

}  // namespace isthmus
