// A segment that only a few instances hold is emptied: their bytes are copied to the current
// segment, synced, and the rows name the copies. Whenever that is cut short, a row names bytes that
// are whole: the old ones until its transaction, the new ones after it. A copy without its row is
// nothing: replay knows it by its kind.
#include "base/failpoint.h"
#include "spool/segments/reading.h"
#include "spool/segments/segment_spool.h"

namespace isthmus::segments {
namespace {

constexpr std::size_t kMovedAtOnce = 64;

}  // namespace

Result<bool> SegmentSpool::compact_one() {
  const std::optional<SegmentPtr> segment = store_.to_compact();
  if (!segment) return false;
  const SegmentHeader& header = (*segment)->header();
  const std::string from = to_ref({header.number, header.generation, 0, 0}).text;
  const std::string before = to_ref({header.number, header.generation + 1, 0, 0}).text;
  TRY_ASSIGN(const std::vector<HeldInstance> held,
             ledger_.spool_rows().held(from, before, kMovedAtOnce));
  std::size_t moved = 0;
  for (const HeldInstance& one : held) {
    if (stopping_) return moved > 0;
    TRY_ASSIGN(const bool is_moved, move_record(one));
    if (is_moved) ++moved;
  }
  // What is left cannot be moved now: not again before the next start.
  if (moved < held.size() || held.empty()) store_.give_up_compacting(*segment);
  compacted_.add(static_cast<double>(moved));
  return moved > 0;
}

Result<bool> SegmentSpool::move_record(const HeldInstance& held) {
  const auto from = place_of(held.spool_ref);
  if (!from) return false;
  auto opened = open_record(env_, directory_, *from);
  if (!opened.ok()) return false;  // `isthmus spool verify` names it
  Record& record = opened->record;
  Gathered bytes(buffers_, kPayloadOffset);
  Bytes window(kChunkBytes);
  for (std::uint64_t at = 0; at < from->payload_bytes;) {
    const auto wanted = MutableByteSpan(window).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(window.size(), from->payload_bytes - at)));
    TRY_ASSIGN(const std::size_t got, opened->file->read_at(from->payload_offset() + at, wanted));
    // No memory now: another time.
    if (got != wanted.size() || !bytes.append(wanted)) return false;
    at += got;
  }
  TRY_ASSIGN(const bool is_whole, payload_is_whole(*opened->file, record));
  if (!is_whole) {
    env_.log.error("spool.bytes_damaged", {{"instance", held.id.text()}});
    return false;
  }
  record.kind = RecordKind::copy;
  TRY_ASSIGN(const Slot slot, workshop_.append(record, bytes));
  store_.conclude(slot, true);
  follower_.drop(slot.sequence);
  FAILPOINT(segment_copied);
  const auto moved = ledger_.spool_rows().move(held.id, held.spool_ref, to_ref(slot.place));
  if (moved.ok() && *moved) {
    FAILPOINT(segment_moved);
    store_.release(*from);
    return true;
  }
  // Whether the row names the copy after an error nobody knows: both are kept for the next start.
  if (moved.ok()) store_.release(slot.place);
  TRY(moved);
  return false;
}

}  // namespace isthmus::segments
