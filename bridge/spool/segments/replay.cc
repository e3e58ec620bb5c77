// What a start does with the segments it finds: promises that have no row yet get it, and what rows
// hold is kept.
#include <algorithm>
#include <set>

#include "base/failpoint.h"
#include "spool/segments/reading.h"
#include "spool/segments/segment_spool.h"

namespace isthmus::segments {
namespace {

constexpr std::size_t kHeldAtOnce = 5000;
// Behind everything that begins with kRefPrefix: ';' comes after ':'.
constexpr std::string_view kBehindRefs = "segment;";

}  // namespace

Result<void> SegmentSpool::replay() {
  TRY_ASSIGN(const SpoolPosition position, ledger_.spool_rows().position());
  last_sequence_ = position.sequence;
  TRY_ASSIGN(std::vector<Record> records, promises_behind(position));
  // As many as can be under way, with room to spare; or this is not their ledger.
  if (records.size() > 4 * options_.max_rows_behind) {
    return permanent_error("spool.unclaimed",
                           "The spool's segments hold " + std::to_string(records.size()) +
                               " instances that the ledger does not know, more than a crash "
                               "leaves: check that the ledger is this spool's.");
  }
  std::ranges::sort(records, {}, &Record::sequence);
  const std::size_t found = records.size();
  TRY(follow(std::move(records)));
  env_.log.info("spool.replayed", {{"records", found}, {"from_sequence", position.sequence + 1}});
  return {};
}

// Arrivals in segments of the position's generation or later, with a sequence behind it. They are
// synced first: a record may have been written by a process that was killed before its sync, and a
// row must not outlive it.
Result<std::vector<Record>> SegmentSpool::promises_behind(const SpoolPosition& position) {
  std::vector<Record> records;
  for (const SegmentPtr& segment : store_.by_generation()) {
    const SegmentHeader& header = segment->header();
    if (header.generation < position.generation) continue;
    TRY_ASSIGN(const auto direct, env_.files.open(segment->path(), FileSystem::Mode::direct));
    TRY_ASSIGN(const auto file, env_.files.open(segment->path(), FileSystem::Mode::read_only));
    if (auto synced = direct->sync(); !synced.ok()) {
      return fatal_error("spool.segment_sync_failed", synced.error().message);
    }
    TRY(scan(env_, segment->path(), header, [&](Record record) -> Result<void> {
      last_sequence_ = std::max(last_sequence_, record.sequence);
      if (record.kind != RecordKind::arrival || record.sequence <= position.sequence) return {};
      TRY_ASSIGN(const bool is_whole, payload_is_whole(*file, record));
      if (is_whole) records.push_back(std::move(record));
      return {};
    }));
  }
  return records;
}

Result<void> SegmentSpool::follow(std::vector<Record> records) {
  for (std::size_t done = 0; done < records.size();) {
    const std::size_t count = std::min(records.size() - done, options_.rows_at_once);
    std::vector<Arrival> arrivals;
    for (std::size_t i = done; i < done + count; ++i) {
      arrivals.push_back(std::move(records[i].arrival));
    }
    done += count;
    const Place last = *place_of(arrivals.back().spool_ref);
    TRY(ledger_.spool_rows().follow(arrivals, {records[done - 1].sequence, last.generation}));
    FAILPOINT(segment_replayed);
  }
  return {};
}

Result<void> SegmentSpool::keep_held() {
  std::size_t missing = 0;
  std::set<InstanceId> going;  // claimed: their bytes may be gone
  TRY_ASSIGN(const std::vector<Sweepable> being_freed, ledger_.being_freed());
  for (const Sweepable& one : being_freed) going.insert(one.instance);
  std::string after(kRefPrefix);
  for (;;) {
    TRY_ASSIGN(const std::vector<HeldInstance> held,
               ledger_.spool_rows().held(after, kBehindRefs, kHeldAtOnce));
    for (const HeldInstance& one : held) {
      const auto place = place_of(one.spool_ref);
      if (place && store_.keep(*place)) continue;
      if (going.contains(one.id)) continue;
      ++missing;
      env_.log.error("spool.bytes_missing", {{"instance", one.id.text()}});
    }
    if (held.size() < kHeldAtOnce) break;
    after = held.back().spool_ref.text;
  }
  env_.log.info("spool.segments_read", {{"held_bytes", store_.kept_bytes()}, {"missing", missing}});
  return {};
}

}  // namespace isthmus::segments
