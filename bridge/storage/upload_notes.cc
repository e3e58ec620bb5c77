#include "storage/upload_notes.h"

#include "base/digest.h"

namespace isthmus {
namespace {

constexpr std::uint64_t kMaxNoteBytes = 8 * KiB;

class FileNotes final : public UploadNotes {
 public:
  FileNotes(Env& env, FileSystem::Path directory) : env_(env), directory_(std::move(directory)) {}

  Result<std::optional<std::string>> find(const ObjectKey& key) override {
    auto file = env_.files.open(path_of(key), FileSystem::Mode::read_only);
    if (!file.ok()) {
      if (file.error().code == "disk.not_found") return std::optional<std::string>();
      return file.error();
    }
    TRY_ASSIGN(const std::uint64_t size, (*file)->size());
    const auto source = source_of_file(std::move(file).value(), 0, size);
    TRY_ASSIGN(std::string text, read_all(*source, kMaxNoteBytes));
    if (text.empty()) return std::optional<std::string>();  // a power cut before its sync
    return std::optional(std::move(text));
  }

  Result<void> keep(const ObjectKey& key, const std::string& upload_id) override {
    const FileSystem::Path path = path_of(key);
    const FileSystem::Path part = path.string() + ".part";
    ignore(env_.files.remove(part), "left by a process that died");
    TRY_ASSIGN(const auto file, env_.files.open(part, FileSystem::Mode::create_new));
    TRY(file->append(as_bytes(upload_id)));
    TRY(file->sync());
    TRY(env_.files.rename(part, path));
    return env_.files.sync_directory(directory_);
  }

  Result<void> forget(const ObjectKey& key) override {
    const Result<void> gone = env_.files.remove(path_of(key));
    if (!gone.ok() && gone.error().code != "disk.not_found") return gone;
    return {};
  }

 private:
  // Of the key's digest: it is a plain name, whatever the prefix.
  FileSystem::Path path_of(const ObjectKey& key) const {
    return directory_ / (sha256(key.text).hex() + ".upload");
  }

  Env& env_;
  const FileSystem::Path directory_;
};

}  // namespace

Result<std::unique_ptr<UploadNotes>> open_upload_notes(Env& env, FileSystem::Path directory) {
  TRY(env.files.create_directories(directory));
  return std::unique_ptr<UploadNotes>(std::make_unique<FileNotes>(env, std::move(directory)));
}

}  // namespace isthmus
