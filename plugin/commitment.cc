#include "plugin/commitment.h"

#include <algorithm>

#include "dicom/sop_class.h"

namespace isthmus::plugin {
namespace {

constexpr std::size_t kCopiesAtMost = 1'000;
constexpr Milliseconds kBetweenLooks{250};

CommitmentLevel level_of(const CommitmentLevels& levels, const std::string& destination) {
  const auto found = levels.find(destination);
  return found == levels.end() ? CommitmentLevel::imported : found->second;
}

CommitmentLevel reached(DeliveryState state) {
  if (state == DeliveryState::imported) return CommitmentLevel::imported;
  if (state == DeliveryState::staged) return CommitmentLevel::staged;
  return CommitmentLevel::spooled;
}

}  // namespace

Standing standing_of(std::span<const InstanceView> held, std::string_view sop_class_uid,
                     const CommitmentLevels& levels, std::optional<CommitmentLevel> of_sender) {
  if (held.empty()) {
    const bool can_never_come =
        dicom::sop_class_kind(sop_class_uid) == dicom::SopClassKind::not_storage;
    return can_never_come ? Standing::not_storage : Standing::unknown;
  }
  bool of_class = false, moving = false, failing = false, homeless = false;
  for (const InstanceView& view : held) {
    if (view.instance.sop_class_uid.text() != sop_class_uid) continue;
    of_class = true;
    homeless = homeless || (view.deliveries.empty() && of_sender != CommitmentLevel::spooled);
    for (const Delivery& delivery : view.deliveries) {
      failing = failing || delivery.state == DeliveryState::discarded;
      const CommitmentLevel wanted = of_sender.value_or(level_of(levels, delivery.destination));
      if (reached(delivery.state) >= wanted) continue;
      const bool goes_on =
          delivery.state == DeliveryState::waiting || delivery.state == DeliveryState::staged;
      moving = moving || goes_on;
      failing = failing || !goes_on;
    }
  }
  if (!of_class) return Standing::other_class;
  if (moving) return Standing::on_way;
  if (failing) return Standing::failing;
  return homeless ? Standing::homeless : Standing::committed;
}

Result<Standing> CommitmentHandler::look_up(const std::string& sop_class_uid,
                                            const std::string& sop_instance_uid) {
  for (;;) {
    TRY_ASSIGN(const auto held, means_.ledger.instances(sop_instance_uid, kCopiesAtMost));
    std::vector<InstanceView> copies;
    for (const InstanceView& view : held) {  // a series or study may have the same UID
      if (view.instance.sop_instance_uid.text() == sop_instance_uid) copies.push_back(view);
    }
    const Standing standing = standing_of(copies, sop_class_uid, means_.levels, means_.of_sender);
    const bool may_become_better = standing == Standing::on_way || standing == Standing::unknown;
    if (!may_become_better || means_.stopping.load() || means_.env.clock.steady_now() >= until_) {
      return standing;
    }
    means_.env.clock.sleep_for(kBetweenLooks);
  }
}

}  // namespace isthmus::plugin
