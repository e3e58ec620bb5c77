// Planning: which image sets, in which order, by which calls, and what each held before.
#include <algorithm>
#include <set>

#include "pipeline/metadata.h"
#include "pipeline/metadata_values.h"

namespace isthmus {
namespace {

// A change with a question added for each instance that it names: is it there?
MetadataChange with_probes(const MetadataChange& change) {
  MetadataChange asked = change;
  std::set<std::string> seen;
  for (const AttributeChange& one : change.attributes) {
    if (one.level != MetadataLevel::instance || !seen.insert(one.sop_instance_uid).second) continue;
    AttributeChange probe = one;
    probe.action = AttributeAction::remove_instance;
    probe.key.clear();
    asked.attributes.push_back(std::move(probe));
  }
  return asked;
}

bool only_removes_instances(const MetadataChange& change) {
  return std::all_of(change.attributes.begin(), change.attributes.end(), [](const auto& one) {
    return one.action == AttributeAction::remove_instance;
  });
}

class Planner {
 public:
  Planner(MetadataUpdates& updates, MetadataService& service, const MetadataUpdateDetails& update)
      : updates_(updates), service_(service), update_(update) {}

  Result<MetadataPlan> plan() {
    if (update_.row.kind == MetadataUpdateKind::revert) {
      TRY(plan_revert());
    } else {
      TRY_ASSIGN(const std::vector<StudyImageSet> sets, targets());
      for (const StudyImageSet& set : sets) TRY(add(set));
      group();
    }
    const bool done_before = std::any_of(
        update_.steps.begin(), update_.steps.end(),
        [](const MetadataStep& step) { return step.state == MetadataStepState::applied; });
    if (plan_.steps.empty() && !plan_.why && !done_before) {
      refuse(MetadataUpdateEvent::refused, "metadata.no_image_set",
             "No image set of the study holds what was to be changed.");
    }
    return std::move(plan_);
  }

 private:
  const MetadataUpdateRow& row() const { return update_.row; }
  bool is_exact() const { return row().kind == MetadataUpdateKind::exact; }

  void refuse(MetadataUpdateEvent event, const char* code, const char* message) {
    if (plan_.why) return;
    plan_.event = event;
    plan_.why = permanent_error(code, message);
  }

  Result<std::vector<StudyImageSet>> targets() {
    const StudyAt study{row().destination, row().study_instance_uid};
    if (is_exact()) {
      std::vector<StudyImageSet> sets{{row().image_set_id, true}};
      if (!row().include_study_image_sets) return sets;
      TRY_ASSIGN(const auto others, updates_.image_sets(study, "", ""));
      for (const StudyImageSet& other : others) {
        if (other.primary && other.image_set_id != row().image_set_id) sets.push_back(other);
      }
      return sets;
    }
    std::string series, instance;
    if (!update_.change.attributes.empty()) {
      series = update_.change.attributes.front().series_instance_uid;
      instance = update_.change.attributes.front().sop_instance_uid;
    }
    return updates_.image_sets(study, series, instance);
  }

  // Steps that an earlier plan brought to their end keep their places.
  const MetadataStep* applied_before(const std::string& image_set) const {
    for (const MetadataStep& step : update_.steps) {
      if (step.image_set_id == image_set && step.state == MetadataStepState::applied) return &step;
    }
    return nullptr;
  }
  std::int64_t next_place() {
    for (const MetadataStep& step : update_.steps) places_ = std::max(places_, step.place + 1);
    return places_++;
  }

  Result<ImageSetStatus> settled_status(const std::string& image_set) {
    TRY_ASSIGN(ImageSetStatus status, service_.status(image_set));
    if (status.phase == ImageSetStatus::Phase::changing) {
      return transient_error("metadata.busy", "An image set is being changed.");
    }
    return status;
  }

  Result<void> add(const StudyImageSet& set) {
    TRY_ASSIGN(const ImageSetStatus status, settled_status(set.image_set_id));
    if (status.phase == ImageSetStatus::Phase::gone) return {};
    const MetadataChange asked = with_probes(update_.change);
    TRY_ASSIGN(MetadataValues stored, service_.values(set.image_set_id, status.version, asked));
    const std::size_t attributes = update_.change.attributes.size();
    const bool holds = std::all_of(stored.begin() + static_cast<std::ptrdiff_t>(attributes),
                                   stored.end(), [](const auto& one) { return one.has_value(); });
    if (!holds && !only_removes_instances(update_.change)) return {};
    stored.resize(attributes);

    MetadataStep step;
    step.image_set_id = set.image_set_id;
    step.primary = status.primary;
    step.seen_version = status.version;
    step.revert_to = row().revert_to;
    bool expected = true;
    for (std::size_t i = 0; i < attributes; ++i) {
      const AttributeChange& one = update_.change.attributes[i];
      step.values.push_back({stored[i], one.wanted(), std::nullopt});
      if (one.expected && !same_value(stored[i], one.expected) &&
          (is_exact() || !same_value(stored[i], one.wanted()))) {
        step.values.back().found = stored[i];
        expected = false;
      }
    }
    const bool named = set.image_set_id == row().image_set_id;
    if (is_exact() && named && status.version != row().seen_version) {
      return conflict(std::move(step), "The version is not the newest one of the image set.");
    }
    if (!expected)
      return conflict(std::move(step), "An attribute has another value than expected.");
    const bool nothing_to_do =
        step.revert_to == 0 && !is_exact() && has_what_is_wanted(step, stored);
    if (nothing_to_do) {
      if (applied_before(set.image_set_id) != nullptr) return {};
      step.state = MetadataStepState::applied;
      step.version = status.version;
    }
    keep(std::move(step));
    return {};
  }

  Result<void> conflict(MetadataStep step, const char* message) {
    step.state = MetadataStepState::conflict;
    step.error_code = "metadata.conflict";
    step.error = message;
    refuse(MetadataUpdateEvent::values_differ, "metadata.conflict", message);
    keep(std::move(step));
    return {};
  }

  void keep(MetadataStep step) {
    step.place = step.carried_by = next_place();
    plan_.steps.push_back(std::move(step));
  }

  // Patient and study level go to all primary image sets by one call, unless what is to be removed
  // has another value somewhere: a call quotes one value.
  void group() {
    const bool together = is_exact() ? row().include_study_image_sets
                                     : is_of_whole_study(update_.change) && removals_agree();
    if (!together) return;
    MetadataStep* first = nullptr;
    for (MetadataStep& step : plan_.steps) {
      if (!step.primary || step.state != MetadataStepState::planned) continue;
      if (first == nullptr) {
        first = &step;
      } else {
        step.carried_by = first->place;
      }
    }
  }

  bool removals_agree() const {
    const MetadataStep* first = nullptr;
    for (const MetadataStep& step : plan_.steps) {
      if (!step.primary) continue;
      if (first == nullptr) first = &step;
      for (std::size_t i = 0; i < step.values.size(); ++i) {
        const bool removal = update_.change.attributes[i].action != AttributeAction::set;
        if (removal && step.values[i].before != first->values[i].before) return false;
      }
    }
    return true;
  }

  Result<void> plan_revert() {
    TRY_ASSIGN(const MetadataUpdateDetails original, updates_.details(*row().reverts));
    for (const MetadataStep& done : original.steps) {
      const bool changed =
          done.state == MetadataStepState::applied && done.version > done.seen_version;
      if (!changed || applied_before(done.image_set_id) != nullptr) continue;
      TRY_ASSIGN(const ImageSetStatus status, settled_status(done.image_set_id));
      if (status.phase == ImageSetStatus::Phase::gone) continue;
      TRY_ASSIGN(const MetadataValues stored,
                 service_.values(done.image_set_id, status.version, update_.change));
      MetadataStep step;
      step.image_set_id = done.image_set_id;
      step.primary = status.primary;
      step.seen_version = status.version;
      step.revert_to = done.seen_version;
      for (std::size_t i = 0; i < done.values.size(); ++i) {
        step.values.push_back({stored.at(i), done.values[i].before, std::nullopt});
      }
      if (status.version != done.version) {
        for (MetadataStepValue& value : step.values) value.found = value.before;
        TRY(conflict(std::move(step),
                     "The image set was changed since: going back would undo that as well."));
      } else {
        keep(std::move(step));
      }
    }
    return {};
  }

  MetadataUpdates& updates_;
  MetadataService& service_;
  const MetadataUpdateDetails& update_;
  MetadataPlan plan_;
  std::int64_t places_ = 0;
};

}  // namespace

Result<MetadataPlan> plan_metadata(MetadataUpdates& updates, MetadataService& service,
                                   const MetadataUpdateDetails& update) {
  return Planner(updates, service, update).plan();
}

}  // namespace isthmus
