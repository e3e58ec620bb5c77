#include "dimse/session/sender_labels.h"

#include <algorithm>

namespace isthmus::dimse {
namespace {

constexpr const char* kOther = "other";

bool is_plain(const std::string& name) {
  constexpr std::string_view kPunctuation = " _-.";
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kPunctuation.find(c) != std::string_view::npos;
  });
}

}  // namespace

Histogram& SenderLabels::store_seconds(const std::string& sender) {
  const std::lock_guard lock(mutex_);
  if (const auto found = own_.find(sender); found != own_.end()) return *found->second;
  if (own_.size() >= kMostSenders || !is_plain(sender)) return histogram(kOther);
  return *own_.emplace(sender, &histogram(sender)).first->second;
}

Histogram& SenderLabels::histogram(const std::string& label) {
  return env_.metrics.histogram("dimse_store_seconds",
                                "From a C-STORE's first byte to its answer, by sender",
                                {{"sender", label}});
}

}  // namespace isthmus::dimse
