#include "api/stow/scratch.h"

#include <algorithm>
#include <array>

#include "base/ids.h"

namespace isthmus::api::stow {
namespace {

constexpr std::string_view kSuffix = ".parts";

Error scratch_error(const Error& error, Admission& admission) {
  if (error.code == "disk.full") {
    admission.refresh();
    return transient_error("spool.full", "The spool's disk is full: free space on it.");
  }
  return transient_error("spool.io", "Parts of a request could not be kept (" + error.message +
                                         "): see whether the disk is failing.");
}

}  // namespace

Scratch::~Scratch() {
  admission_.in_flight(-static_cast<std::int64_t>(size_));
  if (!file_) return;
  file_.reset();
  ignore(env_.files.remove(path_), "swept at start-up");
}

Result<void> Scratch::begin() {
  path_ = directory_ / (make_id_text(env_) + std::string(kSuffix));
  auto opened = env_.files.open(path_, FileSystem::Mode::create_new);
  if (!opened.ok()) return scratch_error(opened.error(), admission_);
  file_ = std::move(opened).value();
  return {};
}

Result<void> Scratch::append(ByteSpan bytes) {
  TRY(admission_.check_continue());
  if (!file_) TRY(begin());
  if (auto written = file_->append(bytes); !written.ok()) {
    return scratch_error(written.error(), admission_);
  }
  size_ += bytes.size();
  admission_.in_flight(static_cast<std::int64_t>(bytes.size()));
  return {};
}

Result<void> Scratch::read(std::uint64_t offset, std::uint64_t length,
                           const std::function<Result<void>(ByteSpan)>& sink) const {
  std::array<std::byte, 64 * KiB> piece;
  while (length > 0) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(length, piece.size()));
    const auto got = file_->read_at(offset, MutableByteSpan(piece).first(wanted));
    if (!got.ok()) return scratch_error(got.error(), admission_);
    if (*got == 0) return transient_error("spool.io", "Parts of a request are gone from the disk.");
    TRY(sink(ByteSpan(piece).first(*got)));
    offset += *got;
    length -= *got;
  }
  return {};
}

Result<void> Scratch::sweep(Env& env, const FileSystem::Path& directory) {
  TRY(env.files.create_directories(directory));
  TRY_ASSIGN(const std::vector<std::string> names, env.files.list(directory));
  for (const std::string& name : names) {
    if (name.ends_with(kSuffix)) TRY(env.files.remove(directory / name));
  }
  return {};
}

}  // namespace isthmus::api::stow
