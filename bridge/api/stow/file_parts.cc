#include "api/stow/parts.h"

namespace isthmus::api::stow {
namespace {

class FileParts : public Parts {
 public:
  explicit FileParts(Instances& instances) : instances_(instances) {}

  Result<void> begin_part(const http::Headers& headers) override {
    const auto media = wire::parse_media_type(headers.get("Content-Type", "application/dicom"));
    skipped_bytes_ = 0;
    if (!media || media->type != "application/dicom") return {};
    intake_ = instances_.begin_next();
    intake_->file_follows();
    return {};
  }
  Result<void> part_bytes(ByteSpan bytes) override {
    if (intake_) {
      intake_->append(bytes);
    } else {
      skipped_bytes_ += bytes.size();
    }
    return {};
  }
  Result<void> end_part() override {
    if (intake_) {
      instances_.conclude_later(std::move(intake_));
    } else {
      instances_.refuse(permanent_error("stow.part_media_type", "A part is no application/dicom."),
                        skipped_bytes_);
    }
    intake_.reset();
    return {};
  }
  Result<void> finish() override { return {}; }

 private:
  Instances& instances_;
  std::unique_ptr<InstanceIntake> intake_;
  std::uint64_t skipped_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Parts> make_file_parts(Instances& instances) {
  return std::make_unique<FileParts>(instances);
}

}  // namespace isthmus::api::stow
