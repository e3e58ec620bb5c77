#include "model/commitment.h"

#include <algorithm>
#include <array>

namespace isthmus {
namespace {

constexpr std::array<std::string_view, 3> kLevelNames{"spooled", "staged", "imported"};

}  // namespace

std::string_view to_string(CommitmentLevel level) {
  return kLevelNames[static_cast<std::size_t>(level)];
}

std::optional<CommitmentLevel> commitment_level_from(std::string_view text) {
  for (std::size_t i = 0; i < kLevelNames.size(); ++i) {
    if (kLevelNames[i] == text) return static_cast<CommitmentLevel>(i);
  }
  return std::nullopt;
}

bool SopReferences::add(const Uid& sop_class_uid, const Uid& sop_instance_uid) {
  ASSERT(sop_instance_uid.text().size() <= 64);
  auto known = std::find(classes_.begin(), classes_.end(), sop_class_uid.text());
  if (known == classes_.end()) {
    if (classes_.size() == kMostClasses) return false;
    known = classes_.insert(classes_.end(), sop_class_uid.text());
  }
  entries_.push_back({static_cast<std::uint32_t>(text_.size()),
                      static_cast<std::uint16_t>(known - classes_.begin()),
                      static_cast<std::uint8_t>(sop_instance_uid.text().size())});
  text_ += sop_instance_uid.text();
  return true;
}

SopReferences::Reference SopReferences::reference(const Entry& entry) const {
  return {classes_[entry.sop_class], std::string_view(text_).substr(entry.offset, entry.length)};
}

SopReferences::Reference SopReferences::operator[](std::size_t place) const {
  return reference(entries_[place]);
}

void SopReferences::sort_and_unite() {
  const auto before = [this](const Entry& a, const Entry& b) {
    const Reference left = reference(a);
    const Reference right = reference(b);
    if (left.sop_instance_uid != right.sop_instance_uid) {
      return left.sop_instance_uid < right.sop_instance_uid;
    }
    return left.sop_class_uid < right.sop_class_uid;
  };
  std::sort(entries_.begin(), entries_.end(), before);
  const auto same = [this](const Entry& a, const Entry& b) { return reference(a) == reference(b); };
  entries_.erase(std::unique(entries_.begin(), entries_.end(), same), entries_.end());
}

Digest SopReferences::digest() const {
  Sha256 digest;
  for (const Entry& entry : entries_) {
    const Reference one = reference(entry);
    digest.update(as_bytes(one.sop_instance_uid));
    digest.update(as_bytes("="));
    digest.update(as_bytes(one.sop_class_uid));
    digest.update(as_bytes("\n"));
  }
  return digest.finish();
}

}  // namespace isthmus
