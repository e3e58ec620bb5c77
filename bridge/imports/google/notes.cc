#include "imports/google/notes.h"

#include <algorithm>
#include <array>

#include "base/digest.h"
#include "imports/google.h"

namespace isthmus::google {
namespace {

constexpr std::uint64_t kMaxNoteBytes = 16 * KiB;

// Three lines: operation, job, input.
std::string print(const OperationNote& note) {
  return note.operation_id + "\n" + note.job_name + "\n" + note.input_prefix + "\n";
}

std::optional<OperationNote> parse(std::string_view text) {
  std::array<std::string, 3> lines;
  for (std::string& line : lines) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos || end == 0) return std::nullopt;
    line = text.substr(0, end);
    text.remove_prefix(end + 1);
  }
  return OperationNote{lines[0], lines[1], lines[2]};
}

}  // namespace

ObjectKey OperationNotes::by_intent(const std::string& prefix, const ImportIntent& intent) {
  return {prefix + "jobs/" + intent.job_name};
}

ObjectKey OperationNotes::by_operation(const std::string& prefix, const std::string& operation_id) {
  return {prefix + "ids/" + operation_id};
}

Result<std::optional<OperationNote>> OperationNotes::of(const ImportIntent& intent) {
  auto bytes = bucket_.get(by_intent(prefix_, intent));
  if (!bytes.ok()) {
    if (bytes.error().code == "store.not_found") return std::optional<OperationNote>();
    return bytes.error();
  }
  TRY_ASSIGN(const std::string text, read_all(**bytes, kMaxNoteBytes));
  auto note = parse(text);
  if (!note) {
    return permanent_error("import.conflict", "A note of an operation in the bucket is damaged.");
  }
  return note;
}

Result<bool> OperationNotes::is_noted(const std::string& operation_id) {
  const auto found = bucket_.head(by_operation(prefix_, operation_id));
  if (found.ok()) return true;
  if (found.error().code == "store.not_found") return false;
  return found.error();
}

Result<void> OperationNotes::keep(const ImportIntent& intent, const std::string& operation_id) {
  const std::string text = print({operation_id, intent.job_name, intent.input_prefix});
  for (const ObjectKey& key : {by_operation(prefix_, operation_id), by_intent(prefix_, intent)}) {
    TRY(bucket_.put(key, source_of(text), sha256(text)));
  }
  return {};
}

}  // namespace isthmus::google

namespace isthmus {

std::vector<ObjectKey> google_notes_of(const std::string& notes_prefix, const ImportIntent& intent,
                                       const RemoteJob& job) {
  return {google::OperationNotes::by_intent(notes_prefix, intent),
          google::OperationNotes::by_operation(notes_prefix, job.id)};
}

}  // namespace isthmus
