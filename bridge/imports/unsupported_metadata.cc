#include "imports/unsupported_metadata.h"

namespace isthmus {
namespace {

class UnsupportedMetadata : public MetadataService {
 public:
  explicit UnsupportedMetadata(std::string sentence)
      : error_(permanent_error("metadata.unsupported", std::move(sentence))) {}

  MetadataLimits limits() const override { return {}; }
  Result<ImageSetStatus> status(const std::string&) override { return error_; }
  Result<MetadataValues> values(const std::string&, std::int64_t, const MetadataChange&) override {
    return error_;
  }
  Result<std::int64_t> update(const std::string&, const MetadataUpdate&, std::int64_t) override {
    return error_;
  }
  Result<std::int64_t> revert(const std::string&, std::int64_t, std::int64_t) override {
    return error_;
  }

 private:
  const Error error_;
};

}  // namespace

std::unique_ptr<MetadataService> make_unsupported_metadata(std::string sentence) {
  return std::make_unique<UnsupportedMetadata>(std::move(sentence));
}

}  // namespace isthmus
