#include "intake/instance_intake.h"

#include <algorithm>

namespace isthmus {
namespace {

// Preamble, "DICM", and as much of group 0002 as read_file_head() looks at.
constexpr std::size_t kMostHeadBytes = 132 + 64 * KiB;

}  // namespace

InstanceIntake::InstanceIntake(Spool& spool, const Origin& origin, std::uint64_t most_bytes)
    : spool_(spool), origin_(origin), most_bytes_(most_bytes) {}

void InstanceIntake::begin() {
  auto begun = spool_.begin(origin_);
  if (!begun.ok()) return give_up(std::move(begun).error());
  incoming_ = std::move(begun).value();
}

void InstanceIntake::dataset_follows(const dicom::FileMeta& meta) {
  begin();
  transfer_syntax_uid_ = meta.transfer_syntax_uid;
  const Bytes header = dicom::make_file_header(meta);
  dataset_offset_bytes_ = header.size();
  spool_bytes(header);
  if (incoming_) incoming_->dataset_begins();
  probe_ = dicom::make_probe(transfer_syntax_uid_);
}

void InstanceIntake::file_follows() {
  begin();
  in_head_ = true;
}

void InstanceIntake::append(ByteSpan bytes) {
  received_bytes_ += bytes.size();
  if (received_bytes_ > most_bytes_ && !failure_) {
    give_up(permanent_error("dicom.instance_too_large",
                            "The instance is larger than this receiver takes."));
  }
  if (in_head_) {
    const ByteSpan piece = bytes.first(std::min(bytes.size(), kMostHeadBytes - head_.size()));
    head_.insert(head_.end(), piece.begin(), piece.end());
    bytes = bytes.subspan(piece.size());
    if (head_.size() == kMostHeadBytes) end_head();
  }
  if (!in_head_ && !bytes.empty()) take_dataset(bytes);
}

bool InstanceIntake::gather_file(ByteSpan file) {
  file_follows();
  return failure_ || incoming_->gather(file);
}

void InstanceIntake::look() {
  if (!incoming_) return;
  for (const ByteSpan piece : incoming_->gathered()) {
    append(piece);
    if (failure_) return;  // its memory is somebody else's already
  }
}

// What is gathered of a file is all of its meta information, and the beginning of its data set.
void InstanceIntake::end_head() {
  in_head_ = false;
  const Bytes head = std::exchange(head_, {});
  auto read = dicom::read_file_head(head);
  if (!read.ok()) return give_up(std::move(read).error());
  file_head_ = std::move(read).value();
  transfer_syntax_uid_ = file_head_.transfer_syntax_uid;
  dataset_offset_bytes_ = file_head_.dataset_offset_bytes;
  const auto offset = static_cast<std::size_t>(dataset_offset_bytes_);
  spool_bytes(ByteSpan(head).first(offset));
  if (incoming_) incoming_->dataset_begins();
  probe_ = dicom::make_probe(transfer_syntax_uid_);
  take_dataset(ByteSpan(head).subspan(offset));
}

void InstanceIntake::take_dataset(ByteSpan bytes) {
  if (probe_ && probe_->feed(bytes) == dicom::Probe::State::failed && !failure_) {
    auto identity = probe_->finish();
    ASSERT(!identity.ok());
    give_up(std::move(identity).error());
  }
  spool_bytes(bytes);
}

void InstanceIntake::spool_bytes(ByteSpan bytes) {
  if (!incoming_) return;
  if (auto taken = incoming_->append(bytes); !taken.ok()) give_up(std::move(taken).error());
}

Result<const Identity*> InstanceIntake::identify() {
  if (in_head_) end_head();
  if (failure_) return *failure_;
  auto identity = probe_->finish();
  if (!identity.ok()) {
    give_up(std::move(identity).error());
    return *failure_;
  }
  identity_ = std::move(identity).value();
  return &*identity_;
}

Identified InstanceIntake::identified(const RouteInstance& route) const {
  Identified identified{*identity_, transfer_syntax_uid_, dataset_offset_bytes_};
  if (route) {
    RouteAttributes attributes;
    attributes.modality = identified.identity.modality;
    attributes.study_description = probe_->seen_study_description();
    attributes.institution_name = probe_->seen_institution_name();
    identified.destinations = route(std::move(attributes));
  }
  return identified;
}

Result<void> InstanceIntake::secure(const RouteInstance& route) {
  ASSERT(identity_ && incoming_);
  return incoming_->secure(identified(route));
}

Result<Receipt> InstanceIntake::commit(const RouteInstance& route, std::optional<Origin> sent_by) {
  ASSERT(identity_ && incoming_);
  Identified whole = identified(route);
  whole.origin = std::move(sent_by);
  identity_.reset();
  auto receipt = incoming_->commit(whole);
  incoming_.reset();
  return receipt;
}

void InstanceIntake::give_up(Error error) {
  if (!failure_) failure_ = std::move(error);
  incoming_.reset();
}

std::string_view InstanceIntake::seen_sop_class_uid() const {
  return probe_ ? probe_->seen_sop_class_uid() : std::string_view();
}
std::string_view InstanceIntake::seen_sop_instance_uid() const {
  return probe_ ? probe_->seen_sop_instance_uid() : std::string_view();
}

}  // namespace isthmus
