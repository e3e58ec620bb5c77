#include "dimse/store/store_operation.h"

namespace isthmus::dimse {
namespace {

constexpr std::uint32_t kSopClassUid = 0x00080016;
constexpr std::uint32_t kSopInstanceUid = 0x00080018;

}  // namespace

StoreOperation::StoreOperation(Spool& spool, const Origin& origin, StoreRequest request,
                               std::uint64_t max_instance_bytes)
    : request_(std::move(request)), max_instance_bytes_(max_instance_bytes) {
  if (auto begun = begin(spool, origin); !begun.ok()) failure_ = std::move(begun).error();
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
  intake_.emplace(spool, origin, max_instance_bytes_);
  dicom::FileMeta meta;
  meta.media_storage_sop_class_uid = request_.sop_class_uid;
  meta.media_storage_sop_instance_uid = request_.sop_instance_uid;
  meta.transfer_syntax_uid = request_.transfer_syntax_uid;
  meta.sending_ae_title = origin.calling_ae_title;
  meta.receiving_ae_title = origin.called_ae_title;
  intake_->dataset_follows(meta);
  return {};
}

void StoreOperation::append(ByteSpan fragment) {
  received_bytes_ += fragment.size();
  if (intake_) intake_->append(fragment);
}

Result<Receipt> StoreOperation::finish() {
  if (failure_) return *failure_;
  auto receipt = commit();
  intake_.reset();
  return receipt;
}

// That it is another instance than announced is the most one can say, even if it is incomplete too.
Result<void> StoreOperation::compare() {
  const auto differs = [](std::string_view seen, const std::string& announced) {
    return !seen.empty() && seen != announced;
  };
  if (differs(intake_->seen_sop_class_uid(), request_.sop_class_uid)) {
    offending_element_ = kSopClassUid;
    return permanent_error("dicom.mismatch", "SOP Class UID is not the one of the command.");
  }
  if (differs(intake_->seen_sop_instance_uid(), request_.sop_instance_uid)) {
    offending_element_ = kSopInstanceUid;
    return permanent_error("dicom.mismatch", "SOP Instance UID is not the one of the command.");
  }
  return {};
}

Result<Receipt> StoreOperation::commit() {
  if (intake_->failed()) return intake_->identify().error();
  const auto identity = intake_->identify();
  if (!identity.ok() && identity.error().code == "dicom.unreadable") return identity.error();
  TRY(compare());
  if (!identity.ok()) return identity.error();
  ASSERT((*identity)->sop_class_uid.text() == request_.sop_class_uid &&
         (*identity)->sop_instance_uid.text() == request_.sop_instance_uid);
  return intake_->commit(request_.route);
}

}  // namespace isthmus::dimse
