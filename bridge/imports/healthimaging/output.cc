#include "imports/healthimaging/output.h"

#include <fmt/format.h>

#include <unordered_map>

#include "imports/healthimaging/answers.h"
#include "wire/healthimaging.h"

namespace isthmus::healthimaging {

namespace {

namespace wire_hi = wire::healthimaging;

constexpr std::uint64_t kMaxManifestBytes = 64 * MiB;  // one entry an image set
constexpr std::size_t kMaxLineBytes = 1 * MiB;
constexpr std::size_t kMaxReason = 500;
constexpr std::size_t kMaxWarnings = 100;  // of one file

Error missing(std::string_view what) {
  return transient_error("import.output_missing",
                         fmt::format("The job's {} is not in the bucket yet.", what));
}

Error unreadable(std::string_view what) {
  return permanent_error("import.output_unreadable",
                         fmt::format("The job's {} cannot be read.", what));
}

// What the files say about one key.
struct Said {
  std::optional<wire_hi::SuccessLine> success;
  std::optional<wire_hi::FailureLine> failure;
  std::vector<OutcomeWarning> warnings;
  std::optional<wire_hi::SuccessLine> warned;  // a warning says that the file was imported
};

// Gives each line of a stream; lines end in LF, the last one may go without.
class Lines {
 public:
  explicit Lines(ByteSource& source)
      : source_(source), piece_(static_cast<std::size_t>(64 * KiB)) {}

  // Nothing at the end.
  Result<std::optional<std::string>> next() {
    std::string line;
    for (;;) {
      const std::size_t end = have_.find('\n', at_);
      if (end != std::string::npos) {
        line = have_.substr(at_, end - at_);
        at_ = end + 1;
        if (line.empty() || line == "\r") continue;
        return std::optional(std::move(line));
      }
      have_.erase(0, at_);
      at_ = 0;
      if (have_.size() > kMaxLineBytes) return unreadable("output, with a line without end,");
      TRY_ASSIGN(const std::size_t got, source_.read(piece_));
      if (got == 0) break;
      have_.append(as_text(ByteSpan(piece_).first(got)));
    }
    if (have_.empty()) return std::optional<std::string>();
    return std::optional(std::exchange(have_, {}));
  }

 private:
  ByteSource& source_;
  Bytes piece_;
  std::string have_;
  std::size_t at_ = 0;
};

class OutputReader {
 public:
  OutputReader(Env& env, ObjectStore& store, const OutputPlace& place,
               std::span<const Expected> expected)
      : env_(env), store_(store), place_(place), expected_(expected) {
    for (const Expected& one : expected) said_.try_emplace(one.key.text);
  }

  Result<std::vector<Outcome>> read() {
    TRY_ASSIGN(const wire_hi::JobOutputManifest manifest, read_manifest());
    TRY(read_failures(manifest));
    TRY(read_warnings(manifest));
    TRY(read_successes(manifest));
    std::vector<Outcome> outcomes;
    outcomes.reserve(expected_.size());
    std::int64_t imported = 0, rejected = 0;
    for (const Expected& one : expected_) {
      outcomes.push_back(outcome_of(one));
      imported += outcomes.back().kind == OutcomeKind::imported ? 1 : 0;
      rejected += outcomes.back().kind == OutcomeKind::rejected ? 1 : 0;
    }
    const auto all = static_cast<std::int64_t>(outcomes.size());
    env_.log.info("import.output_read", {{"job", place_.job_id},
                                         {"imported", imported},
                                         {"rejected", rejected},
                                         {"unaccounted", all - imported - rejected},
                                         {"unknown_files", unknown_}});
    return outcomes;
  }

 private:
  Result<std::string> manifest_text(const std::string& folder) {
    TRY_ASSIGN(const std::unique_ptr<ByteSource> bytes,
               store_.get(ObjectKey{folder + std::string(wire_hi::kManifestName)}));
    return read_all(*bytes, kMaxManifestBytes);
  }

  Result<wire_hi::JobOutputManifest> read_manifest() {
    Result<std::string> text = manifest_text(place_.folder);
    // Some of the service's messages name the prefix that was asked for instead of the job's
    // folder.
    const std::string own = wire_hi::job_folder("", place_.datastore_id, place_.job_id).substr(1);
    if (!text.ok() && text.error().code == "store.not_found" && !place_.folder.ends_with(own)) {
      text = manifest_text(place_.folder + own);
    }
    if (!text.ok()) {
      if (text.error().code == "store.not_found") return missing("manifest");
      if (text.error().code == "body.too_large") return unreadable("manifest");
      return text.error();
    }
    Result<wire_hi::JobOutputManifest> manifest = wire_hi::parse_manifest(*text);
    if (!manifest.ok() || manifest->job_id != place_.job_id) return unreadable("manifest");
    return manifest;
  }

  // The key of a file that the manifest says lies in `folder_uri`.
  Result<ObjectKey> key_in(std::string_view folder_uri, std::string_view name) {
    const auto uri = wire_hi::parse_s3_uri(folder_uri);
    if (!uri || uri->bucket != place_.bucket) {
      return unreadable("manifest, which points out of the output bucket,");
    }
    const bool slash = uri->key.empty() || uri->key.ends_with('/');
    return ObjectKey{fmt::format("{}{}{}", uri->key, slash ? "" : "/", name)};
  }

  // Gives each parsed line whose file is expected. A file that is not there has no lines, unless
  // `lines_expected`: then it is late.
  template <typename Line, typename Parse, typename Take>
  Result<void> read_lines(std::string_view folder_uri, std::string_view name, bool lines_expected,
                          Parse parse, Take take) {
    if (folder_uri.empty()) {
      return lines_expected ? Result<void>(unreadable("manifest")) : Result<void>();
    }
    TRY_ASSIGN(const ObjectKey key, key_in(folder_uri, name));
    Result<std::unique_ptr<ByteSource>> bytes = store_.get(key);
    if (!bytes.ok()) {
      if (bytes.error().code != "store.not_found") return bytes.error();
      return lines_expected ? Result<void>(missing(name)) : Result<void>();
    }
    Lines lines(**bytes);
    for (;;) {
      TRY_ASSIGN(const std::optional<std::string> text, lines.next());
      if (!text) return {};
      Result<Line> line = parse(*text);
      if (!line.ok()) return unreadable(name);
      take(std::move(*line));
    }
  }

  Said* find(const std::string& input_file) {
    const auto found = said_.find(input_file);
    if (found != said_.end()) return &found->second;
    ++unknown_;
    return nullptr;
  }

  Result<void> read_successes(const wire_hi::JobOutputManifest& manifest) {
    return read_lines<wire_hi::SuccessLine>(manifest.success_output_s3_uri, wire_hi::kSuccessName,
                                            manifest.number_of_imported_files > 0,
                                            wire_hi::parse_success_line,
                                            [this](wire_hi::SuccessLine line) {
                                              if (Said* const said = find(line.input_file))
                                                said->success = std::move(line);
                                            });
  }

  Result<void> read_failures(const wire_hi::JobOutputManifest& manifest) {
    const bool any = manifest.number_of_files_with_customer_error > 0 ||
                     manifest.number_of_files_with_server_error > 0;
    return read_lines<wire_hi::FailureLine>(manifest.failure_output_s3_uri, wire_hi::kFailureName,
                                            any, wire_hi::parse_failure_line,
                                            [this](wire_hi::FailureLine line) {
                                              if (Said* const said = find(line.input_file))
                                                said->failure = std::move(line);
                                            });
  }

  Result<void> read_warnings(const wire_hi::JobOutputManifest& manifest) {
    return read_lines<wire_hi::WarningLine>(
        manifest.warnings_output_s3_uri.value_or(""), wire_hi::kWarningName, false,
        wire_hi::parse_warning_line, [this](wire_hi::WarningLine line) {
          Said* const said = find(line.imported.input_file);
          if (said == nullptr) return;
          for (const wire_hi::ImportWarning& warning : line.warnings) {
            if (said->warnings.size() == kMaxWarnings) break;
            said->warnings.push_back({warning.reason_code, cut(warning.type, kMaxReason),
                                      cut(warning.message, kMaxReason)});
          }
          said->warned = std::move(line.imported);
        });
  }

  Outcome outcome_of(const Expected& expected) const {
    const Said& said = said_.at(expected.key.text);
    Outcome outcome;
    outcome.delivery = expected.delivery;
    // Named as imported, and only then, is imported. A warning alone names it so, too; but not
    // against a failure.
    const auto& imported = said.success || said.failure ? said.success : said.warned;
    if (imported) {
      outcome.kind = OutcomeKind::imported;
      outcome.image_set_id = imported->image_set_id;
      outcome.image_set_version = imported->image_set_version;
      outcome.primary = imported->is_primary;
      outcome.warnings = said.warnings;
    } else if (said.failure) {
      outcome.kind = kind_of_failure(said.failure->exception_type);
      outcome.reason_code = cut(said.failure->exception_type, 100);
      if (outcome.reason_code.empty()) outcome.reason_code = "import.unexplained";
      outcome.reason = cut(said.failure->message, kMaxReason);
    } else {
      outcome.reason_code = "import.not_mentioned";
      outcome.reason = "The job's output does not name this file.";
    }
    return outcome;
  }

  Env& env_;
  ObjectStore& store_;
  const OutputPlace& place_;
  const std::span<const Expected> expected_;
  std::unordered_map<std::string, Said> said_;
  std::int64_t unknown_ = 0;  // lines about files that nobody asked for
};

}  // namespace

Result<std::vector<Outcome>> read_outcomes(Env& env, ObjectStore& store, const OutputPlace& place,
                                           std::span<const Expected> expected) {
  return OutputReader(env, store, place, expected).read();
}

}  // namespace isthmus::healthimaging
