#include "api/stow/instances.h"

#include <fmt/format.h>

#include <algorithm>

#include "dicom/sop_class.h"
#include "dicom/transfer_syntax.h"

namespace isthmus::api::stow {
namespace {

// A smaller one is committed sooner than another thread has woken up for it.
constexpr std::uint64_t kLeastAhead = 128 * KiB;

bool takes_class(const StowOptions& options, const std::string& uid) {
  switch (dicom::sop_class_kind(uid)) {
    case dicom::SopClassKind::storage:
      return true;
    case dicom::SopClassKind::not_storage:
      return false;
    case dicom::SopClassKind::unknown:
      break;
  }
  return options.accept_unknown_sop_classes ||
         std::ranges::find(options.extra_sop_classes, uid) != options.extra_sop_classes.end();
}

bool differs(const std::string& in_head, const Uid& in_dataset) {
  return !in_head.empty() && in_head != in_dataset.text();
}

std::string uid_or_nothing(std::string_view text) {
  return Uid::parse(text) ? std::string(text) : std::string();
}

}  // namespace

InstanceIntake Instances::begin() const {
  return InstanceIntake(core_.spool, asking_.origin, core_.options.max_instance_bytes);
}

std::unique_ptr<InstanceIntake> Instances::begin_next() {
  if (later_ && later_->commit.intake().received_bytes() >= kLeastAhead) {
    later_->commit.begin(core_.commits);
  } else {
    settle();
  }
  return std::make_unique<InstanceIntake>(begin());
}

void Instances::conclude_later(std::unique_ptr<InstanceIntake> intake) {
  settle();
  auto outcome = examine(*intake);
  if (!outcome.ok()) return conclude(std::move(outcome), *intake);
  later_.reset(new Later{std::move(outcome).value(), {std::move(intake), route()}});
}

void Instances::settle() {
  if (!later_) return;
  const auto receipt = later_->commit.result();
  const std::unique_ptr<Later> later = std::move(later_);
  if (receipt.ok()) return conclude(std::move(later->outcome), later->commit.intake());
  conclude(receipt.error(), later->commit.intake());
}

Result<void> Instances::judge(const InstanceIntake& intake, const Identity& identity) const {
  if (!asking_.plan.study.empty() && identity.study_instance_uid.text() != asking_.plan.study) {
    return permanent_error("dicom.other_study", "The instance is not of the study in the path.");
  }
  const std::string& sop_class = identity.sop_class_uid.text();
  if (!takes_class(core_.options, sop_class) || !allows_sop_class(asking_.sender, sop_class)) {
    return permanent_error("dicom.sop_class_not_supported",
                           "This sender may not store instances of this SOP class.");
  }
  const auto* syntax = dicom::find_transfer_syntax(intake.transfer_syntax_uid());
  if (!Uid::parse(intake.transfer_syntax_uid()) || (syntax != nullptr && syntax->jpip)) {
    return permanent_error("dicom.transfer_syntax_not_supported",
                           "The pixel data are not in the instance, or its syntax is none.");
  }
  return {};
}

Result<Outcome> Instances::examine(InstanceIntake& intake) const {
  TRY_ASSIGN(const Identity* identity, intake.identify());
  TRY(judge(intake, *identity));
  Outcome outcome;
  outcome.sop_class_uid = identity->sop_class_uid.text();
  outcome.sop_instance_uid = identity->sop_instance_uid.text();
  outcome.study_instance_uid = identity->study_instance_uid.text();
  outcome.series_instance_uid = identity->series_instance_uid.text();
  const dicom::FileHead& head = intake.file_head();
  if (differs(head.media_storage_sop_class_uid, identity->sop_class_uid) ||
      differs(head.media_storage_sop_instance_uid, identity->sop_instance_uid)) {
    outcome.warning = kHeadDiffers;
  }
  return outcome;
}

RouteInstance Instances::route() const {
  return [this](RouteAttributes attributes) {
    attributes.sender = asking_.sender.name;
    attributes.calling_ae_title = asking_.origin.calling_ae_title;
    return core_.senders.route(asking_.sender, attributes).destinations;
  };
}

Result<Outcome> Instances::store(InstanceIntake& intake) {
  TRY_ASSIGN(Outcome outcome, examine(intake));
  TRY(intake.commit(route()));
  return outcome;
}

void Instances::conclude(InstanceIntake& intake, std::optional<std::uint16_t> warning) {
  settle();
  auto outcome = store(intake);
  if (outcome.ok() && warning) outcome->warning = warning;
  conclude(std::move(outcome), intake);
}

void Instances::conclude(Result<Outcome> outcome, const InstanceIntake& intake) {
  if (outcome.ok()) {
    ++stored_;
    return add(std::move(outcome).value());
  }
  add_refused(outcome.error(), intake.received_bytes(), intake.seen_sop_class_uid(),
              intake.seen_sop_instance_uid());
}

void Instances::refuse(const Error& error, std::uint64_t received_bytes,
                       std::string_view sop_class_uid, std::string_view sop_instance_uid) {
  settle();
  add_refused(error, received_bytes, sop_class_uid, sop_instance_uid);
}

void Instances::add_refused(const Error& error, std::uint64_t received_bytes,
                            std::string_view sop_class_uid, std::string_view sop_instance_uid) {
  note(error, received_bytes);
  Outcome failed = Outcome::failed(error);
  failed.sop_class_uid = uid_or_nothing(sop_class_uid);
  failed.sop_instance_uid = uid_or_nothing(sop_instance_uid);
  failed.unreadable = failed.unreadable && received_bytes > 0;
  add(std::move(failed));
}

void Instances::note(const Error& error, std::uint64_t received_bytes) const {
  core_.env.log.warn("instance.refused",
                     {{"request", asking_.origin.association_id},
                      {"part", outcomes_.size() + 1},
                      {"status", fmt::format("0x{:04x}", failure_reason(error))},
                      {"received_bytes", received_bytes},
                      {"error", describe(error)}});
}

void Instances::add(Outcome outcome) {
  const char* const status = outcome.failure ? "failed" : outcome.warning ? "warning" : "stored";
  core_.env.metrics
      .counter("stow_instances_total", "Instances of Store requests, by what became of them",
               {{"status", status}})
      .add();
  outcomes_.push_back(std::move(outcome));
}

}  // namespace isthmus::api::stow
