#include "dimse/store/store_operation.h"

#include "dicom/part10.h"

namespace isthmus::dimse {
namespace {

constexpr std::uint32_t kSopClassUid = 0x00080016;
constexpr std::uint32_t kSopInstanceUid = 0x00080018;

}  // namespace

StoreOperation::StoreOperation(Spool& spool, const Origin& origin, StoreRequest request,
                               std::uint64_t max_instance_bytes)
    : request_(std::move(request)), max_instance_bytes_(max_instance_bytes) {
  if (auto begun = begin(spool, origin); !begun.ok()) give_up(std::move(begun).error());
}

Result<void> StoreOperation::begin(Spool& spool, const Origin& origin) {
  if (!request_.context_stores) {
    return permanent_error("dicom.sop_class_not_supported",
                           "C-STORE came on a context that is not for storing.");
  }
  if (!Uid::parse(request_.sop_instance_uid)) {
    return permanent_error("dicom.invalid_sop_instance",
                           "Affected SOP Instance UID breaks the rules for UIDs.");
  }
  if (request_.sop_class_uid != request_.context_sop_class_uid) {
    offending_element_ = kSopClassUid;
    return permanent_error("dicom.mismatch", "Affected SOP Class UID is not of its context.");
  }
  TRY_ASSIGN(incoming_, spool.begin(origin));
  dicom::FileMeta meta;
  meta.media_storage_sop_class_uid = request_.sop_class_uid;
  meta.media_storage_sop_instance_uid = request_.sop_instance_uid;
  meta.transfer_syntax_uid = request_.transfer_syntax_uid;
  meta.sending_ae_title = origin.calling_ae_title;
  meta.receiving_ae_title = origin.called_ae_title;
  const Bytes header = dicom::make_file_header(meta);
  header_bytes_ = header.size();
  TRY(incoming_->append(header));
  incoming_->dataset_begins();
  probe_ = dicom::make_probe(request_.transfer_syntax_uid);
  return {};
}

void StoreOperation::append(ByteSpan fragment) {
  received_bytes_ += fragment.size();
  if (failure_) return;
  if (auto taken = take(fragment); !taken.ok()) give_up(std::move(taken).error());
}

Result<void> StoreOperation::take(ByteSpan fragment) {
  if (received_bytes_ > max_instance_bytes_) {
    return permanent_error("dicom.instance_too_large",
                           "The instance is larger than dimse.max_instance_bytes.");
  }
  if (probe_->feed(fragment) == dicom::Probe::State::failed) {
    auto identity = probe_->finish();
    ASSERT(!identity.ok());
    return std::move(identity).error();
  }
  return incoming_->append(fragment);
}

Result<Receipt> StoreOperation::finish() {
  if (failure_) return *failure_;
  auto receipt = commit();
  incoming_.reset();
  return receipt;
}

// That it is another instance than announced is the most one can say, even if it is incomplete too.
Result<void> StoreOperation::compare() {
  const auto differs = [](std::string_view seen, const std::string& announced) {
    return !seen.empty() && seen != announced;
  };
  if (differs(probe_->seen_sop_class_uid(), request_.sop_class_uid)) {
    offending_element_ = kSopClassUid;
    return permanent_error("dicom.mismatch", "SOP Class UID is not the one of the command.");
  }
  if (differs(probe_->seen_sop_instance_uid(), request_.sop_instance_uid)) {
    offending_element_ = kSopInstanceUid;
    return permanent_error("dicom.mismatch", "SOP Instance UID is not the one of the command.");
  }
  return {};
}

Result<Receipt> StoreOperation::commit() {
  auto identity = probe_->finish();
  if (!identity.ok() && identity.error().code == "dicom.unreadable") return identity.error();
  TRY(compare());
  if (!identity.ok()) return identity.error();
  ASSERT(identity->sop_class_uid.text() == request_.sop_class_uid &&
         identity->sop_instance_uid.text() == request_.sop_instance_uid);
  Identified identified{std::move(identity).value(), request_.transfer_syntax_uid, header_bytes_};
  if (request_.route) {
    RouteAttributes attributes;
    attributes.modality = identified.identity.modality;
    attributes.study_description = probe_->seen_study_description();
    attributes.institution_name = probe_->seen_institution_name();
    identified.destinations = request_.route(std::move(attributes));
  }
  return incoming_->commit(identified);
}

void StoreOperation::give_up(Error error) {
  failure_ = std::move(error);
  incoming_.reset();
  probe_.reset();
}

}  // namespace isthmus::dimse
