#include "storage/upload_sessions.h"

#include <fmt/format.h>

#include <charconv>
#include <vector>

namespace isthmus {
namespace {

constexpr std::uint64_t kMaxFileBytes = 16 * KiB;
constexpr std::chrono::hours kGoodFor{7 * 24};
constexpr std::string_view kSuffix = ".upload";

struct Kept {
  UploadSession session;
  WallTime begun_at;
};

// Four lines: digest and size of the object, when it was begun, and what the store calls it.
std::string print(const Kept& kept) {
  return fmt::format("{}\n{}\n{}\n{}\n", kept.session.digest.hex(), kept.session.size_bytes,
                     to_rfc3339(kept.begun_at), kept.session.token);
}

std::optional<Kept> parse(std::string_view text) {
  std::vector<std::string> lines;
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  if (lines.size() != 4 || !text.empty()) return std::nullopt;
  const auto digest = Digest::from_hex(lines[0]);
  const auto begun = from_rfc3339(lines[2]);
  std::uint64_t size = 0;
  const char* const last = lines[1].data() + lines[1].size();
  const auto [end, error] = std::from_chars(lines[1].data(), last, size);
  const bool whole = digest && begun && error == std::errc() && end == last && !lines[3].empty();
  if (!whole) return std::nullopt;
  return Kept{{lines[3], *digest, size}, *begun};
}

class FileSessions final : public UploadSessions {
 public:
  FileSessions(Env& env, FileSystem::Path directory)
      : env_(env), directory_(std::move(directory)) {}

  Result<std::optional<UploadSession>> find(const ObjectKey& key) override {
    TRY_ASSIGN(const std::optional<Kept> kept, read(path_of(key)));
    return kept ? std::optional(kept->session) : std::nullopt;
  }

  Result<void> keep(const ObjectKey& key, const UploadSession& session) override {
    const FileSystem::Path path = path_of(key);
    const FileSystem::Path part = path.string() + ".part";
    ignore(env_.files.remove(part), "left by a process that died");
    TRY_ASSIGN(const auto file, env_.files.open(part, FileSystem::Mode::create_new));
    TRY(file->append(as_bytes(print({session, env_.clock.wall_now()}))));
    TRY(file->sync());
    TRY(env_.files.rename(part, path));
    return env_.files.sync_directory(directory_);
  }

  Result<void> forget(const ObjectKey& key) override { return remove(path_of(key)); }

  Result<void> tidy() {
    TRY_ASSIGN(const std::vector<std::string> names, env_.files.list(directory_));
    for (const std::string& name : names) {
      if (!name.ends_with(kSuffix)) continue;
      TRY_ASSIGN(const std::optional<Kept> kept, read(directory_ / name));
      const bool is_over = !kept || kept->begun_at + kGoodFor < env_.clock.wall_now();
      if (is_over) TRY(remove(directory_ / name));
    }
    return {};
  }

 private:
  // Of the key's digest: it is a plain name, whatever the prefix.
  FileSystem::Path path_of(const ObjectKey& key) const {
    return directory_ / (sha256(key.text).hex() + std::string(kSuffix));
  }

  Result<std::optional<Kept>> read(const FileSystem::Path& path) {
    auto file = env_.files.open(path, FileSystem::Mode::read_only);
    if (!file.ok()) {
      if (file.error().code == "disk.not_found") return std::optional<Kept>();
      return file.error();
    }
    TRY_ASSIGN(const std::uint64_t size, (*file)->size());
    if (size > kMaxFileBytes) return std::optional<Kept>();
    const auto source = source_of_file(std::move(file).value(), 0, size);
    TRY_ASSIGN(const std::string text, read_all(*source, kMaxFileBytes));
    return parse(text);  // a power cut before its sync leaves less than a document
  }

  Result<void> remove(const FileSystem::Path& path) {
    const Result<void> gone = env_.files.remove(path);
    if (!gone.ok() && gone.error().code != "disk.not_found") return gone;
    return {};
  }

  Env& env_;
  const FileSystem::Path directory_;
};

}  // namespace

Result<std::unique_ptr<UploadSessions>> open_upload_sessions(Env& env, FileSystem::Path directory) {
  TRY(env.files.create_directories(directory));
  auto sessions = std::make_unique<FileSessions>(env, std::move(directory));
  TRY(sessions->tidy());
  return std::unique_ptr<UploadSessions>(std::move(sessions));
}

std::optional<UploadSession> UploadsInProgress::find(const ObjectKey& key) {
  if (sessions_ == nullptr) return std::nullopt;
  auto kept = sessions_->find(key);
  if (kept.ok()) return std::move(*kept);
  tell(kept.error());
  return std::nullopt;
}

void UploadsInProgress::keep(const ObjectKey& key, const UploadSession& session) {
  if (sessions_ != nullptr) tell(sessions_->keep(key, session));
}

void UploadsInProgress::forget(const ObjectKey& key) {
  if (sessions_ != nullptr) tell(sessions_->forget(key));
}

void UploadsInProgress::tell(const Result<void>& done) {
  if (!done.ok()) env_.log.warn("store.upload_not_noted", {{"code", done.error().code}});
}

}  // namespace isthmus
