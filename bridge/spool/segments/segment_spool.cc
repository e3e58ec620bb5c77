// A spool of segments. What has to be on disk before anyone is told "stored" is one thing: the
// record, by one sync for all who wait. Rows follow; a start makes those that a crash kept from
// following (replay.cc). Instances that do not fit go the way of the spool of files, with their row
// before the answer.
#include "spool/segments/segment_spool.h"

#include "model/layout.h"

namespace isthmus::segments {
namespace {

// How often segments are looked after when nobody asks for it.
constexpr Milliseconds kKeeperTick{1000};
// After the ledger or the disk refused.
constexpr Milliseconds kPause{1000};
// How long an instance that begins waits for memory, before it goes as a file.
constexpr Milliseconds kBeginPatience{250};

}  // namespace

SegmentSpool::SegmentSpool(Env& env, FileSystem::Path directory, Ledger& ledger,
                           Admission& admission, SegmentOptions options,
                           std::unique_ptr<FilesBeside> files)
    : env_(env),
      directory_(std::move(directory) / layout::kSegmentFolder),
      ledger_(ledger),
      admission_(admission),
      options_(options),
      files_(std::move(files)),
      begun_(env.metrics.counter("spool_instances_begun_total",
                                 "Instances that receivers began to receive.")),
      compacted_(env.metrics.counter("spool_compacted_total",
                                     "Records that were moved to let their segment go.")),
      buffers_(env, options.buffer_bytes, options.background ? kBeginPatience : Milliseconds(0)),
      store_(env, directory_, admission, options),
      follower_(env, ledger.spool_rows(), options_,
                [this](const SpoolRef& ref) { store_.release(*place_of(ref)); }),
      workshop_{env,
                admission,
                options_,
                buffers_,
                store_,
                follower_,
                *files_,
                env.metrics.counter("spool_segment_syncs_total", "Syncs of segments."),
                env.metrics.counter("spool_records_total", "Instances appended to segments.")} {
  store_.on_need([this] { need_.notify(); });
}

SegmentSpool::~SegmentSpool() {
  stopping_ = true;
  store_.stop();
  follower_.stop();
  need_.notify();
  pause_.notify();
  rows_thread_.join();
  keeper_thread_.join();
}

void SegmentSpool::start() {
  if (!options_.background || rows_thread_.joinable()) return;
  rows_thread_ = Thread(env_, "spool-rows", [this] { follow_rows(); });
  keeper_thread_ = Thread(env_, "spool-keeper", [this] { keep_segments(); });
}

Result<std::unique_ptr<IncomingInstance>> SegmentSpool::begin(const Origin& origin) {
  // Before that nobody knows which segments hold what.
  if (!recovered_) return transient_error("spool.closed", "The spool was not recovered: restart.");
  TRY(admission_.check());
  begun_.add();
  return begin_record(workshop_, InstanceId::make(env_), origin);
}

Result<std::unique_ptr<ByteSource>> SegmentSpool::open(const SpoolRef& ref) {
  if (const auto place = place_of(ref)) return store_.open(*place);
  return files_->open(ref);
}

// Nothing is written: what is freed is what no row holds, and the row is concluded next.
Result<void> SegmentSpool::free(const SpoolRef& ref) {
  if (const auto place = place_of(ref)) {
    store_.release(*place);
    return {};
  }
  return files_->free(ref);
}

Result<std::size_t> SegmentSpool::recover() {
  TRY_ASSIGN(const std::size_t discarded, files_->recover());
  if (recovered_) return discarded;
  TRY(store_.load());
  TRY(replay());
  TRY(keep_held());
  store_.begin(last_sequence_ + 1);
  recovered_ = true;
  start();
  return discarded;
}

Result<std::uint64_t> SegmentSpool::used_bytes() {
  TRY_ASSIGN(const std::uint64_t in_files, files_->used_bytes());
  return in_files + store_.kept_bytes();
}

// --- in the background
// ---------------------------------------------------------------------------

void SegmentSpool::follow_rows() {
  while (follower_.await_work()) {
    for (;;) {
      const Result<bool> more = follower_.follow_once();
      if (more.ok() && *more) continue;
      if (more.ok()) break;
      complain("spool.rows_refused", more.error());
      if (stopping_) return;
      pause_.wait_for(kPause);
      break;
    }
  }
}

void SegmentSpool::keep_segments() {
  while (!stopping_) {
    for (;;) {
      const Result<bool> made = store_.prepare_one();
      if (!made.ok() && made.error().code != "spool.no_segment") {
        complain("spool.segment_not_made", made.error());
      }
      if (!made.ok() || !*made || stopping_) break;
    }
    const Result<bool> removed = store_.remove_one();
    if (!removed.ok()) complain("spool.segment_not_removed", removed.error());
    const Result<bool> compacted = compact_one();
    if (!compacted.ok()) complain("spool.not_compacted", compacted.error());
    need_.wait_for(kKeeperTick);
  }
}

// What no retry mends closes admission: promises that cannot get their rows must not pile up.
void SegmentSpool::complain(const char* event, const Error& error) {
  if (error.fate == Fate::transient || event != std::string_view("spool.rows_refused")) {
    env_.log.warn(event, {{"error", describe(error)}});
    return;
  }
  env_.log.error(event, {{"error", describe(error)}});
  admission_.close(AdmissionState::failed);
  env_.on_fatal(fatal_error(error.code, error.message));
}

}  // namespace isthmus::segments

namespace isthmus {

Result<std::unique_ptr<Spool>> open_segment_spool(Env& env, FileSystem::Path directory,
                                                  Ledger& ledger, Admission& admission,
                                                  SegmentOptions options) {
  TRY_ASSIGN(auto files, open_files_beside(env, directory, ledger, admission));
  return std::unique_ptr<Spool>(std::make_unique<segments::SegmentSpool>(
      env, std::move(directory), ledger, admission, options, std::move(files)));
}

}  // namespace isthmus
