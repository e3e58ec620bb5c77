#include "datastore/engine/image_sets.h"

#include <algorithm>
#include <map>
#include <set>

namespace isthmus::datastore {
namespace {

std::string_view without_padding(std::string_view text) {
  const auto padding = [](char c) { return c == ' ' || c == '\0'; };
  while (!text.empty() && padding(text.back())) text.remove_suffix(1);
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  return text;
}

std::string digits_of(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c >= '0' && c <= '9') digits.push_back(c);
  }
  return digits;
}

}  // namespace

Digest grouping_key(const GroupingElements& elements) {
  Sha256 hash;
  for (const std::string* value :
       {&elements.study_date, &elements.accession_number, &elements.patient_id,
        &elements.study_instance_uid, &elements.study_id, &elements.series_instance_uid,
        &elements.series_number}) {
    const std::string_view bare = without_padding(*value);
    hash.update(as_bytes(std::to_string(bare.size()) + ":"));
    hash.update(as_bytes(bare));
  }
  return hash.finish();
}

std::vector<PlannedImageSet> plan_image_sets(std::span<const FileToPlace> files,
                                             std::span<const KnownImageSet> known,
                                             const std::function<std::string()>& make_id) {
  std::map<Digest, const KnownImageSet*> by_grouping;
  std::set<std::string> series_with_primary;
  for (const KnownImageSet& set : known) {
    by_grouping.emplace(set.grouping, &set);
    if (set.is_primary) series_with_primary.insert(set.series_instance_uid);
  }
  std::vector<PlannedImageSet> plan;
  std::map<Digest, std::size_t> planned;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const FileToPlace& file = files[i];
    const auto [place, first] = planned.emplace(file.grouping, plan.size());
    if (first) {
      PlannedImageSet set;
      set.series_instance_uid = file.series_instance_uid;
      set.grouping = file.grouping;
      if (const auto found = by_grouping.find(file.grouping); found != by_grouping.end()) {
        set.id = found->second->id;
        set.is_primary = found->second->is_primary;
        set.version = found->second->latest_version + 1;
      } else {
        set.id = make_id();
        set.is_new = true;
        set.is_primary = series_with_primary.insert(file.series_instance_uid).second;
      }
      plan.push_back(std::move(set));
    }
    plan[place->second].files.push_back(i);
  }
  for (PlannedImageSet& set : plan) {
    std::set<std::string_view> seen;
    for (auto file = set.files.rbegin(); file != set.files.rend(); ++file) {
      if (seen.insert(files[*file].sop_instance_uid).second) set.instances.push_back(*file);
    }
    std::reverse(set.instances.begin(), set.instances.end());
  }
  return plan;
}

std::string study_moment(std::string_view study_date, std::string_view study_time,
                         bool upper_bound) {
  std::string date = digits_of(study_date);
  if (date.empty()) return "";
  date.resize(8, upper_bound ? '9' : '0');
  constexpr std::string_view kFirst = "000000.000000";
  constexpr std::string_view kLast = "235959.999999";
  const std::size_t point = std::min(study_time.find('.'), study_time.size());
  std::string time = digits_of(study_time.substr(0, point));
  time.resize(std::min<std::size_t>(time.size(), 6));
  if (time.size() == 6 && point < study_time.size()) {
    time += "." + digits_of(study_time.substr(point + 1));
  }
  time.resize(std::min(time.size(), kFirst.size()));
  return date + time + std::string((upper_bound ? kLast : kFirst).substr(time.size()));
}

}  // namespace isthmus::datastore
