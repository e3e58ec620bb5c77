// The client of STOW-RS as an import service.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "imports/google.h"
#include "imports/google/calls.h"
#include "imports/google/stored.h"
#include "wire/healthcare.h"

namespace isthmus {
namespace {

namespace hc = wire::healthcare;
using google::Calls;

constexpr std::uint64_t kMaxNoteBytes = 64 * MiB;
constexpr int kOk = 200, kAccepted = 202, kBadRequest = 400, kConflict = 409;
// "Out of resources" (PS3.7 C.5): the same instance may be taken later.
constexpr int kOutOfResources = 0xA700, kOutOfResourcesMask = 0xFF00;
constexpr std::string_view kThere = "already exists";

// What became of one object, as a line "kind TAB code TAB key TAB words".
struct Line {
  OutcomeKind kind = OutcomeKind::unaccounted;
  std::string code;
  std::string key;
  std::string words;
};

std::string plain(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return text;
}

std::string print(const Line& line) {
  return fmt::format("{}\t{}\t{}\t{}\n", to_string(line.kind), line.code, line.key,
                     plain(line.words));
}

std::vector<Line> parse_lines(std::string_view text) {
  std::vector<Line> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view rest = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    std::string fields[4];
    for (std::string& field : fields) {
      const std::size_t tab =
          &field == &fields[3] ? rest.size() : std::min(rest.find('\t'), rest.size());
      field = rest.substr(0, tab);
      rest.remove_prefix(std::min(tab + 1, rest.size()));
    }
    Line line{OutcomeKind::unaccounted, fields[1], fields[2], fields[3]};
    if (fields[0] == to_string(OutcomeKind::imported)) line.kind = OutcomeKind::imported;
    if (fields[0] == to_string(OutcomeKind::rejected)) line.kind = OutcomeKind::rejected;
    lines.push_back(std::move(line));
  }
  return lines;
}

class GoogleStow : public ImportService {
 public:
  GoogleStow(Env& env, http::Transport& transport, TokenSource& tokens, ObjectStore& staging,
             InstanceLookup instances, GoogleStowOptions options)
      : env_(env),
        staging_(staging),
        instances_(std::move(instances)),
        options_(std::move(options)),
        calls_(env, transport, tokens, options_.endpoint, options_.retry) {}

  ImportLimits limits() const override { return options_.limits; }

  Result<RemoteJob> start(const ImportIntent& intent) override {
    TRY_ASSIGN(const auto known, find(intent));
    if (known) return *known;
    TRY(write(job_key(intent.job_name), intent.input_prefix));
    return RemoteJob{intent.job_name, ""};
  }

  Result<std::optional<RemoteJob>> find(const ImportIntent& intent) override {
    TRY_ASSIGN(const auto input, read(job_key(intent.job_name)));
    if (!input) return std::optional<RemoteJob>();
    if (*input == intent.input_prefix) return std::optional(RemoteJob{intent.job_name, ""});
    return permanent_error("import.conflict", "This import was started with another input before.");
  }

  // Sends what was not answered yet, for a while.
  Result<RemoteStatus> status(const RemoteJob& job) override {
    TRY_ASSIGN(const auto input, read(job_key(job.id)));
    if (!input) return permanent_error("import.not_found", "There is no such job.");
    TRY_ASSIGN(const Progress progress, progress_of(job));
    std::vector<ObjectKey> open;
    TRY(staging_.list(*input, [&](const StoredObject& object) {
      const bool is_file = object.key.text.ends_with(".dcm");
      if (is_file && !progress.lines.contains(object.key.text)) open.push_back(object.key);
      return true;
    }));
    RemoteStatus status;
    if (open.empty()) {
      status.state = RemoteState::succeeded;
      return status;
    }
    TRY(send_some(job, open, progress.next));
    return status;
  }

  Result<std::vector<Outcome>> outcomes(const RemoteJob& job,
                                        std::span<const Expected> expected) override {
    TRY_ASSIGN(const Progress progress, progress_of(job));
    std::vector<Outcome> outcomes;
    for (const Expected& one : expected) {
      Outcome outcome;
      outcome.delivery = one.delivery;
      outcome.reason_code = "import.not_mentioned";
      outcome.reason = "It was not in the bucket when the others were sent.";
      if (const auto line = progress.lines.find(one.key.text); line != progress.lines.end()) {
        outcome.kind = line->second.kind;
        outcome.reason_code = line->second.code;
        outcome.reason = line->second.words;
      }
      if (outcome.kind == OutcomeKind::imported) {
        TRY_ASSIGN(const std::optional<Instance> instance, instances_(one.key));
        if (instance) {
          outcome.image_set_id = "studies/" + instance->study_instance_uid.text() + "/series/" +
                                 instance->series_instance_uid.text();
        }
        outcome.primary = true;
      }
      outcomes.push_back(std::move(outcome));
    }
    return outcomes;
  }

 private:
  struct Progress {
    std::map<std::string, Line> lines;  // by key
    int next = 1;                       // number of the next object of lines
  };

  ObjectKey job_key(const std::string& job) const {
    return {options_.notes_prefix + "stow/" + job + "/job"};
  }
  std::string lines_prefix(const std::string& job) const {
    return options_.notes_prefix + "stow/" + job + "/lines-";
  }

  Result<void> write(const ObjectKey& key, const std::string& text) {
    TRY(staging_.put(key, source_of(text), sha256(text)));
    return {};
  }
  Result<std::optional<std::string>> read(const ObjectKey& key) {
    auto bytes = staging_.get(key);
    if (!bytes.ok() && bytes.error().code == "store.not_found") return std::optional<std::string>();
    if (!bytes.ok()) return bytes.error();
    TRY_ASSIGN(std::string text, read_all(**bytes, kMaxNoteBytes));
    return std::optional(std::move(text));
  }

  Result<Progress> progress_of(const RemoteJob& job) {
    std::vector<ObjectKey> keys;
    TRY(staging_.list(lines_prefix(job.id), [&](const StoredObject& object) {
      keys.push_back(object.key);
      return true;
    }));
    Progress progress;
    progress.next = static_cast<int>(keys.size()) + 1;
    for (const ObjectKey& key : keys) {
      TRY_ASSIGN(const auto text, read(key));
      for (Line& line : parse_lines(text.value_or(""))) {
        progress.lines.insert_or_assign(line.key, std::move(line));
      }
    }
    return progress;
  }

  // What was answered is written down also when something failed after it.
  Result<void> send_some(const RemoteJob& job, const std::vector<ObjectKey>& open, int number) {
    const SteadyTime end = env_.clock.steady_now() + options_.work_at_once;
    std::string lines;
    Result<void> sent;
    for (const ObjectKey& key : open) {
      if (!lines.empty() && env_.clock.steady_now() >= end) break;
      auto line = send(key);
      if (!line.ok()) {
        sent = line.error();
        break;
      }
      lines += print(*line);
    }
    if (lines.empty()) return sent;
    TRY(write(ObjectKey{lines_prefix(job.id) + fmt::format("{:06}", number)}, lines));
    return {};
  }

  Result<Line> send(const ObjectKey& key) {
    TRY_ASSIGN(std::unique_ptr<ByteSource> bytes, staging_.get(key));
    TRY_ASSIGN(const Calls::Answer answer,
               calls_.store("/v1/" + options_.dicom_store + "/dicomWeb/studies",
                            std::shared_ptr<ByteSource>(std::move(bytes))));
    const bool has_body = answer.status == kOk || answer.status == kAccepted ||
                          answer.status == kConflict || answer.status == kBadRequest;
    const auto said = hc::parse_store_answer(answer.text);
    if (!has_body || (!said.ok() && answer.status != kBadRequest)) {
      if (answer.error.fate == Fate::transient || answer.status == 401 || answer.status == 403) {
        return Error{answer.error.code, answer.error.message, Fate::transient,
                     answer.error.retry_after};
      }
      if (answer.status == kOk)
        return Line{OutcomeKind::unaccounted, "import.not_mentioned", key.text, ""};
    }
    if (!said.ok())
      return Line{OutcomeKind::rejected, "import.invalid", key.text, answer.error.message};
    return judged(key, *said);
  }

  // One instance went up: whatever the answer names is it.
  Result<Line> judged(const ObjectKey& key, const hc::StoreAnswer& said) {
    if (!said.failed.empty()) {
      const hc::StoreAnswer::Failure& failure = said.failed.front();
      if (failure.text.find(kThere) != std::string::npos) return compared(key);
      const bool later = (failure.reason & kOutOfResourcesMask) == kOutOfResources;
      return Line{later ? OutcomeKind::unaccounted : OutcomeKind::rejected,
                  fmt::format("stow.{:04x}", failure.reason), key.text, failure.text};
    }
    if (said.other_failures) {
      return Line{OutcomeKind::rejected, "stow.unreadable", key.text, "It could not be read."};
    }
    if (!said.stored.empty()) return Line{OutcomeKind::imported, "", key.text, ""};
    return Line{OutcomeKind::unaccounted, "import.not_mentioned", key.text, ""};
  }

  // Ours, from a try whose answer was lost, or somebody else's?
  Result<Line> compared(const ObjectKey& key) {
    TRY_ASSIGN(const std::optional<Instance> instance, instances_(key));
    if (!instance) return Line{OutcomeKind::unaccounted, "import.not_mentioned", key.text, ""};
    TRY_ASSIGN(
        const std::unique_ptr<ByteSource> bytes,
        calls_.open(google::instance_target(
                        options_.dicom_store, instance->study_instance_uid.text(),
                        instance->series_instance_uid.text(), instance->sop_instance_uid.text()),
                    google::kStoredBytes));
    TRY_ASSIGN(const Digest digest, google::dataset_digest_of(*bytes));
    if (digest == instance->dataset_digest) return Line{OutcomeKind::imported, "", key.text, ""};
    return Line{OutcomeKind::rejected, "import.duplicate", key.text,
                "The store has another instance of this UID, which it keeps."};
  }

  Env& env_;
  ObjectStore& staging_;
  const InstanceLookup instances_;
  const GoogleStowOptions options_;
  Calls calls_;
};

}  // namespace

std::unique_ptr<ImportService> make_google_stow(Env& env, http::Transport& transport,
                                                TokenSource& tokens, ObjectStore& staging,
                                                InstanceLookup instances,
                                                GoogleStowOptions options) {
  return std::make_unique<GoogleStow>(env, transport, tokens, staging, std::move(instances),
                                      std::move(options));
}

}  // namespace isthmus
