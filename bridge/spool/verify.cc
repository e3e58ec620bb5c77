#include "spool/verify.h"

#include <set>

#include "ledger/spool_rows.h"
#include "model/layout.h"
#include "spool/segments/reading.h"

namespace isthmus {
namespace {

constexpr std::size_t kRowsAtOnce = 1000;
constexpr std::size_t kReadAtOnce = 256 * KiB;
// Behind every reference: they are plain ASCII.
constexpr std::string_view kBehindAll = "\x7f";

Error not_found() {
  return permanent_error(
      "spool.not_found",
      "The instance's bytes are not in the spool: have it sent again, or restore "
      "the spool's folder.");
}

// Nothing when they are the bytes of the row.
Result<void> compare(ByteSource& bytes, const Instance& row) {
  Sha256 whole, dataset;
  Bytes piece(kReadAtOnce);
  std::uint64_t at = 0;
  for (;;) {
    TRY_ASSIGN(const std::size_t got, bytes.read(piece));
    if (got == 0) break;
    const ByteSpan read = ByteSpan(piece).first(got);
    if (!row.file_digest.empty()) whole.update(read);
    const std::uint64_t head = row.dataset_offset_bytes > at ? row.dataset_offset_bytes - at : 0;
    if (head < got) dataset.update(read.subspan(static_cast<std::size_t>(head)));
    at += got;
  }
  const bool is_same = at == row.size_bytes && dataset.finish() == row.dataset_digest &&
                       (row.file_digest.empty() || whole.finish() == row.file_digest);
  if (is_same) return {};
  return permanent_error("spool.damaged",
                         "The instance's bytes are not those that were received: look at the disk, "
                         "and have it sent again.");
}

Result<void> look_at(Env& env, const FileSystem::Path& directory, const Instance& row) {
  TRY_ASSIGN(const auto bytes, open_spooled(env, directory, row.spool_ref));
  return compare(*bytes, row);
}

Result<std::set<InstanceId>> claimed(Ledger& ledger) {
  TRY_ASSIGN(const std::vector<Sweepable> being_freed, ledger.being_freed());
  std::set<InstanceId> ids;
  for (const Sweepable& one : being_freed) ids.insert(one.instance);
  return ids;
}

}  // namespace

Result<std::unique_ptr<ByteSource>> open_spooled(Env& env, const FileSystem::Path& directory,
                                                 const SpoolRef& ref) {
  if (const auto place = segments::place_of(ref)) {
    TRY_ASSIGN(segments::OpenRecord found,
               segments::open_record(env, directory / layout::kSegmentFolder, *place));
    return source_of_file(std::move(found.file), place->payload_offset(), place->payload_bytes);
  }
  const auto slash = ref.text.find('/');
  const auto instance = slash == std::string::npos
                            ? std::nullopt
                            : layout::instance_of_spool_name(ref.text.substr(slash + 1));
  if (!instance || layout::spool_file(*instance) != ref.text) return not_found();
  auto file = env.files.open(directory / ref.text, FileSystem::Mode::read_only);
  if (!file.ok() && file.error().code == "disk.not_found") return not_found();
  if (!file.ok()) return transient_error("spool.io", file.error().message);
  const auto size = (*file)->size();
  if (!size.ok()) return transient_error("spool.io", size.error().message);
  return source_of_file(std::move(file).value(), 0, *size);
}

Result<SpoolReport> verify_spool(Env& env, const FileSystem::Path& directory, Ledger& ledger,
                                 const std::function<void(const SpoolFinding&)>& found) {
  SpoolReport report;
  std::string after;
  for (;;) {
    TRY_ASSIGN(const std::vector<HeldInstance> held,
               ledger.spool_rows().held(after, kBehindAll, kRowsAtOnce));
    TRY_ASSIGN(const std::set<InstanceId> going, claimed(ledger));
    for (const HeldInstance& one : held) {
      if (going.contains(one.id)) {
        ++report.going;
        continue;
      }
      TRY_ASSIGN(const std::optional<Instance> row, ledger.instance(one.id));
      if (!row || row->freed_at) continue;
      ++report.instances;
      report.bytes += row->size_bytes;
      const Result<void> looked = look_at(env, directory, *row);
      if (looked.ok()) continue;
      // Freed or moved while it was read?
      TRY_ASSIGN(const std::optional<Instance> now, ledger.instance(one.id));
      TRY_ASSIGN(const std::set<InstanceId> going_now, claimed(ledger));
      const bool is_gone = !now || now->freed_at || going_now.contains(one.id);
      if (is_gone || (now->spool_ref != row->spool_ref && look_at(env, directory, *now).ok())) {
        continue;
      }
      ++report.findings;
      found({one.id, looked.error().code, looked.error().message});
    }
    if (held.size() < kRowsAtOnce) return report;
    after = held.back().spool_ref.text;
  }
}

}  // namespace isthmus
