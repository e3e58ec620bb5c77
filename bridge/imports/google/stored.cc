#include "imports/google/stored.h"

#include <fmt/format.h>

#include <algorithm>

namespace isthmus::google {
namespace {

// The digest of the data set in a Part 10 stream: behind the preamble and group 0002, whose length
// its first element has (PS3.10 section 7.1: always Explicit VR Little Endian).
class DatasetDigest {
 public:
  void feed(ByteSpan bytes) {
    while (head_.size() < kHeadBytes && !bytes.empty()) {
      head_.push_back(bytes.front());
      bytes = bytes.subspan(1);
      if (head_.size() == kHeadBytes) left_ = group_length();
    }
    if (head_.size() < kHeadBytes) return;
    const auto skipped = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
    left_ -= skipped;
    sha_.update(bytes.subspan(skipped));
  }
  Digest finish() { return sha_.finish(); }

 private:
  static constexpr std::size_t kHeadBytes = 144;

  std::uint64_t group_length() const {
    std::uint64_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      length |= std::to_integer<std::uint64_t>(head_[kHeadBytes - 4 + i]) << (8 * i);
    }
    return length;
  }

  Bytes head_;
  std::uint64_t left_ = 0;
  Sha256 sha_;
};

}  // namespace

Result<Digest> dataset_digest_of(ByteSource& part10) {
  DatasetDigest digest;
  Bytes piece(static_cast<std::size_t>(256 * KiB));
  for (;;) {
    TRY_ASSIGN(const std::size_t got, part10.read(piece));
    if (got == 0) return digest.finish();
    digest.feed(ByteSpan(piece).first(got));
  }
}

std::string instance_target(const std::string& dicom_store, const std::string& study,
                            const std::string& series, const std::string& sop) {
  const auto part = [](const std::string& uid) { return http::percent_encode(uid, false); };
  return fmt::format("/v1/{}/dicomWeb/studies/{}/series/{}/instances/{}", dicom_store, part(study),
                     part(series), part(sop));
}

}  // namespace isthmus::google
