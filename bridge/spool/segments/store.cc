#include "spool/segments/store.h"

#include <algorithm>
#include <array>

#include "base/failpoint.h"
#include "model/layout.h"
#include "spool/segments/buffers.h"

namespace isthmus::segments {
namespace {

// A segment smaller than this is not worth its file.
constexpr std::uint64_t kLeastSegmentBytes = 1 * MiB;
// New segments leave room for others: on a small disk they are small.
constexpr std::uint64_t kLeastSegmentsOnDisk = 4;
// How long a receiver waits for a segment that is being made, before it writes a file instead.
constexpr std::chrono::seconds kLongestWait{2};

Error no_segment() {
  return transient_error("spool.no_segment", "No segment of the spool has room now.");
}

constexpr std::uint64_t whole_blocks(std::uint64_t bytes) {
  return bytes / kBlockBytes * kBlockBytes;
}

}  // namespace

// Keeps its segment from being used again.
class SegmentStore::Source : public ByteSource {
 public:
  Source(SegmentStore& store, SegmentPtr segment, std::unique_ptr<ByteSource> bytes)
      : store_(store), segment_(std::move(segment)), bytes_(std::move(bytes)) {}
  ~Source() override {
    const Lock lock(store_.mutex_);
    --segment_->readers;
    store_.settle(segment_);
  }
  std::uint64_t size() const override { return bytes_->size(); }
  Result<std::size_t> read(MutableByteSpan into) override { return bytes_->read(into); }
  Result<void> rewind() override { return bytes_->rewind(); }

 private:
  SegmentStore& store_;
  const SegmentPtr segment_;
  const std::unique_ptr<ByteSource> bytes_;
};

SegmentStore::SegmentStore(Env& env, FileSystem::Path directory, Admission& admission,
                           SegmentOptions options)
    : env_(env),
      directory_(std::move(directory)),
      admission_(admission),
      options_(options),
      kept_gauge_(env.metrics.gauge("spool_segment_held_bytes",
                                    "Bytes of instances that segments hold.")) {}

// --- start-up
// ------------------------------------------------------------------------------------

Result<void> SegmentStore::load() {
  TRY(env_.files.create_directories(directory_));
  TRY_ASSIGN(const std::vector<std::string> names, env_.files.list(directory_));
  for (const std::string& name : names) {
    if (const auto number = layout::segment_of_name(name)) {
      TRY_ASSIGN(SegmentPtr segment, load_one(*number));
      last_generation_ = std::max(last_generation_, segment->header().generation);
      segments_.emplace(*number, std::move(segment));
    } else if (name.ends_with(layout::kSpoolPartSuffix)) {
      TRY(env_.files.remove(directory_ / name));  // was being made: never held anything
    } else {
      env_.log.warn("spool.stranger", {{"folder", layout::kSegmentFolder}});
    }
  }
  return {};
}

Result<SegmentPtr> SegmentStore::load_one(std::uint32_t number) {
  const FileSystem::Path path = directory_ / layout::segment_file(number);
  TRY_ASSIGN(const auto file, env_.files.open(path, FileSystem::Mode::read_only));
  TRY_ASSIGN(const std::uint64_t size, file->size());
  Bytes blocks(2 * kBlockBytes);
  TRY_ASSIGN(const std::size_t got, file->read_at(0, blocks));
  const auto header = newest_header(ByteSpan(blocks).first(got));
  if (header && header->number == number && header->size_bytes <= size) {
    auto segment = std::make_shared<Segment>(*header, path);
    segment->state = SegmentState::sealed;
    return segment;
  }
  env_.log.error("spool.segment_damaged", {{"segment", layout::segment_file(number)}});
  auto segment = std::make_shared<Segment>(SegmentHeader{number, 0, whole_blocks(size), {}}, path);
  segment->state = SegmentState::damaged;
  return segment;
}

std::vector<SegmentPtr> SegmentStore::by_generation() const {
  const std::lock_guard lock(mutex_);
  std::vector<SegmentPtr> all;
  for (const auto& [number, segment] : segments_) {
    if (segment->state != SegmentState::damaged) all.push_back(segment);
  }
  std::ranges::sort(all, {}, [](const SegmentPtr& one) { return one->header().generation; });
  return all;
}

bool SegmentStore::keep(const Place& place) {
  const std::lock_guard lock(mutex_);
  const auto found = segments_.find(place.segment);
  if (found == segments_.end()) return false;
  Segment& segment = *found->second;
  if (segment.state == SegmentState::damaged) {
    segment.assume_generation(std::max(segment.header().generation, place.generation));
    last_generation_ = std::max(last_generation_, place.generation);
  }
  const bool fits = place.payload_offset() + place.payload_bytes <= segment.header().size_bytes;
  if (segment.header().generation != place.generation || !fits) return false;
  if (segment.is_live(place.block())) return false;
  segment.keep(place);
  hold(static_cast<std::int64_t>(place.payload_bytes));
  return true;
}

void SegmentStore::begin(std::uint64_t next_sequence) {
  const std::lock_guard lock(mutex_);
  next_sequence_ = next_sequence;
  for (const auto& [number, segment] : segments_) {
    segment->changed_at = env_.clock.steady_now();
    settle(segment);
  }
  show();
}

// --- records
// -------------------------------------------------------------------------------------

Result<Slot> SegmentStore::reserve(std::uint64_t payload_bytes,
                                   const std::function<void(const Slot&)>& opened) {
  const std::uint64_t bytes = record_bytes(payload_bytes);
  Lock lock(mutex_);
  while (!current_ || current_->room() < bytes) {
    if (ready_.empty() && !wait_for_ready(lock)) return no_segment();
    if (current_ && current_->room() >= bytes) break;
    if (ready_.empty() || ready_.front()->room() < bytes) return no_segment();
    rotate();
  }
  Slot slot;
  slot.segment = current_;
  slot.sequence = next_sequence_++;
  const SegmentHeader& header = current_->header();
  slot.place = {header.number, header.generation, current_->cursor, payload_bytes};
  current_->cursor += bytes;
  ++current_->writers;
  admission_.recyclable(-static_cast<std::int64_t>(bytes));
  opened(slot);
  return slot;
}

// False: there will be none for now.
bool SegmentStore::wait_for_ready(Lock& lock) {
  if (!options_.background) {
    lock.unlock();
    const Result<bool> prepared = prepare_one();
    lock.lock();
    return prepared.ok() && *prepared;
  }
  if (notify_) notify_();
  prepared_.wait_for(lock, kLongestWait,
                     [&] { return stopping_ || cannot_prepare_ || !ready_.empty(); });
  return !ready_.empty();
}

void SegmentStore::rotate() {
  const SegmentPtr before = std::exchange(current_, ready_.front());
  ready_.pop_front();
  current_->state = SegmentState::current;
  if (before) {
    admission_.recyclable(-static_cast<std::int64_t>(before->room()));
    before->state = SegmentState::sealed;
    before->changed_at = env_.clock.steady_now();
    settle(before);
  }
  show();
  if (notify_) notify_();
}

void SegmentStore::conclude(const Slot& slot, bool is_kept) {
  const std::lock_guard lock(mutex_);
  --slot.segment->writers;
  if (is_kept) {
    slot.segment->keep(slot.place);
    hold(static_cast<std::int64_t>(slot.place.payload_bytes));
  }
  settle(slot.segment);
}

SegmentPtr SegmentStore::find(const Place& place) const {
  const auto found = segments_.find(place.segment);
  if (found == segments_.end()) return nullptr;
  const SegmentPtr& segment = found->second;
  const bool is_there =
      segment->header().generation == place.generation && segment->is_live(place.block());
  return is_there ? segment : nullptr;
}

Result<std::unique_ptr<ByteSource>> SegmentStore::open(const Place& place) {
  SegmentPtr segment;
  {
    const std::lock_guard lock(mutex_);
    segment = find(place);
    if (!segment) {
      return permanent_error("spool.not_found", "The instance's bytes are not in the spool.");
    }
    ++segment->readers;
  }
  auto file = env_.files.open(segment->path(), FileSystem::Mode::read_only);
  if (!file.ok()) {
    const std::lock_guard lock(mutex_);
    --segment->readers;
    settle(segment);
    return transient_error("spool.io", "A segment of the spool could not be read (" +
                                           file.error().message +
                                           "): see whether the disk is failing.");
  }
  return std::unique_ptr<ByteSource>(std::make_unique<Source>(
      *this, segment,
      source_of_file(std::move(file).value(), place.payload_offset(), place.payload_bytes)));
}

std::size_t SegmentStore::kept_records() const {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const auto& [number, segment] : segments_) count += segment->live_records();
  return count;
}

bool SegmentStore::release(const Place& place) {
  const std::lock_guard lock(mutex_);
  const SegmentPtr segment = find(place);
  if (!segment || !segment->release(place)) return false;
  hold(-static_cast<std::int64_t>(place.payload_bytes));
  segment->changed_at = env_.clock.steady_now();
  settle(segment);
  return true;
}

void SegmentStore::put_aside(const SegmentPtr& segment) {
  const std::lock_guard lock(mutex_);
  if (segment->state != SegmentState::current) return;
  admission_.recyclable(-static_cast<std::int64_t>(segment->room()));
  segment->state = SegmentState::sealed;
  segment->changed_at = env_.clock.steady_now();
  segment->is_poor = true;
  current_.reset();
  settle(segment);
}

// A sealed segment that nobody needs, writes or reads may be used again.
void SegmentStore::settle(const SegmentPtr& segment) {
  if (segment->state != SegmentState::sealed || segment->writers > 0) return;
  segment->use(nullptr);
  if (segment->live_records() > 0 || segment->readers > 0) return;
  segment->state = SegmentState::idle;
  admission_.recyclable(static_cast<std::int64_t>(segment->header().size_bytes));
  cannot_prepare_ = false;
  show();
  if (notify_ && ready_.size() < options_.ahead) notify_();
}

// --- looking after
// -------------------------------------------------------------------------------

Result<bool> SegmentStore::prepare_one() {
  SegmentPtr segment;
  SegmentHeader header;
  {
    const std::lock_guard lock(mutex_);
    if (ready_.size() >= std::max<std::size_t>(options_.ahead, 1)) return false;
    segment = idle_segment();
    if (segment) {
      header = segment->header();
      header.generation = next_generation(header.generation);
      segment->state = SegmentState::ready;
    }
  }
  Result<void> made;
  if (segment) {
    header.nonce = make_nonce();
    auto file = env_.files.open(segment->path(), FileSystem::Mode::direct);
    made = file.ok() ? write_header(**file, header) : Result<void>(file.error());
    if (made.ok()) {
      FAILPOINT(segment_recycled);
      const std::lock_guard lock(mutex_);
      segment->begin_life(header);
      segment->use(std::move(file).value());
      ready_.push_back(segment);
    }
  } else {
    auto planned = plan_new();
    made = planned.ok() ? make_new(*planned) : Result<void>(planned.error());
  }
  const std::lock_guard lock(mutex_);
  cannot_prepare_ = !made.ok();
  if (!made.ok() && segment) {
    segment->state = SegmentState::damaged;
    admission_.recyclable(-static_cast<std::int64_t>(segment->header().size_bytes));
  }
  prepared_.notify_all();
  show();
  if (made.ok()) return true;
  return made.error();
}

SegmentPtr SegmentStore::idle_segment() const {
  SegmentPtr oldest;
  for (const auto& [number, segment] : segments_) {
    if (segment->state != SegmentState::idle) continue;
    if (!oldest || segment->header().generation < oldest->header().generation) oldest = segment;
  }
  return oldest;
}

// The header goes into the slot that the one before is not in.
std::uint64_t SegmentStore::next_generation(std::uint64_t after) {
  ++last_generation_;
  if (header_offset(last_generation_) == header_offset(after)) ++last_generation_;
  return last_generation_;
}

Nonce SegmentStore::make_nonce() {
  Nonce nonce{};
  env_.entropy.fill(nonce);
  return nonce;
}

// What a new segment would be. "spool.no_segment" when there is no space for one: the reserve is
// for what was admitted already, and for the ledger.
Result<SegmentHeader> SegmentStore::plan_new() {
  TRY_ASSIGN(const SpaceInfo space, env_.files.space(directory_));
  const std::uint64_t available =
      space.free_bytes > options_.reserve_bytes ? space.free_bytes - options_.reserve_bytes : 0;
  SegmentHeader header;
  header.size_bytes =
      whole_blocks(std::min(options_.segment_bytes, available / kLeastSegmentsOnDisk));
  // One that no instance fits into would be of no use.
  if (options_.max_instance_bytes == 0) return no_segment();
  if (header.size_bytes < std::min(kLeastSegmentBytes, options_.segment_bytes)) {
    return no_segment();
  }
  const std::lock_guard lock(mutex_);
  header.number = segments_.empty() ? 1 : segments_.rbegin()->first + 1;
  header.generation = next_generation(last_generation_ + 1);
  header.nonce = make_nonce();
  return header;
}

// Written whole before it is used, so that a record's sync finds nothing but its own blocks to
// write: no allocation, no change of length.
Result<void> SegmentStore::make_new(const SegmentHeader& header) {
  const FileSystem::Path part = directory_ / layout::segment_part(header.number);
  const FileSystem::Path path = directory_ / layout::segment_file(header.number);
  ignore(env_.files.remove(part), "left by an attempt that failed");
  TRY(env_.files.open(part, FileSystem::Mode::create_new));
  TRY_ASSIGN(std::shared_ptr<File> file, env_.files.open(part, FileSystem::Mode::direct));
  if (auto filled = fill_with_zeros(*file, header.size_bytes); !filled.ok()) {
    ignore(env_.files.remove(part), "swept at start-up");
    return filled;
  }
  TRY(write_header(*file, header));
  FAILPOINT(segment_filled);
  TRY(env_.files.rename(part, path));
  TRY(env_.files.sync_directory(directory_));
  FAILPOINT(segment_made);
  auto segment = std::make_shared<Segment>(header, path);
  segment->state = SegmentState::ready;
  segment->use(std::move(file));
  const std::lock_guard lock(mutex_);
  segments_.emplace(header.number, segment);
  ready_.push_back(segment);
  admission_.recyclable(static_cast<std::int64_t>(header.size_bytes));
  return {};
}

Result<void> SegmentStore::fill_with_zeros(File& file, std::uint64_t size_bytes) {
  constexpr std::size_t kChunks = 16;
  const Chunk zeros = make_chunk();
  std::fill_n(zeros.get(), kChunkBytes, std::byte{0});
  std::array<ByteSpan, kChunks> pieces;
  pieces.fill(ByteSpan(zeros.get(), kChunkBytes));
  for (std::uint64_t offset = 0; offset < size_bytes;) {
    const std::uint64_t left = size_bytes - offset;
    const auto whole =
        static_cast<std::size_t>(std::min<std::uint64_t>(left / kChunkBytes, kChunks));
    if (whole == 0) {
      return file.write_at(offset, ByteSpan(zeros.get(), static_cast<std::size_t>(left)));
    }
    TRY(file.write_pieces_at(offset, std::span(pieces).first(whole)));
    offset += whole * kChunkBytes;
  }
  return {};
}

Result<void> SegmentStore::write_header(File& file, const SegmentHeader& header) {
  const Chunk aligned = make_chunk();
  std::ranges::copy(encode(header), aligned.get());
  TRY(file.write_at(header_offset(header.generation), ByteSpan(aligned.get(), kBlockBytes)));
  return file.sync();
}

// Older than the current one, so that the highest generation stays on the disk: a start goes on
// from it. The number may be given out again, the generation is not.
SegmentPtr SegmentStore::surplus_segment() const {
  const SteadyTime before = env_.clock.steady_now() - options_.remove_after;
  std::size_t idle = 0;
  SegmentPtr unused;
  for (const auto& [number, segment] : segments_) {
    if (segment->state != SegmentState::idle) continue;
    ++idle;
    const bool is_candidate = segment->changed_at <= before && current_ &&
                              segment->header().generation < current_->header().generation;
    if (is_candidate) unused = segment;  // the last: the first ones are where writing goes on
  }
  return idle > std::max<std::size_t>(options_.ahead, 1) ? unused : nullptr;
}

Result<bool> SegmentStore::remove_one() {
  SegmentPtr segment;
  {
    const std::lock_guard lock(mutex_);
    segment = surplus_segment();
    if (!segment) return false;
    segments_.erase(segment->header().number);
    admission_.recyclable(-static_cast<std::int64_t>(segment->header().size_bytes));
    show();
  }
  // Whatever fails: the next start finds it again, and nothing in it is needed.
  TRY(env_.files.remove(segment->path()));
  TRY(env_.files.sync_directory(directory_));
  return true;
}

std::optional<SegmentPtr> SegmentStore::to_compact() {
  const std::lock_guard lock(mutex_);
  const SteadyTime before = env_.clock.steady_now() - options_.compact_after;
  for (const auto& [number, segment] : segments_) {
    const bool is_candidate = segment->state == SegmentState::sealed && !segment->is_poor &&
                              segment->live_records() > 0 && segment->changed_at <= before &&
                              segment->live_bytes() * 4 <= segment->header().size_bytes;
    if (is_candidate) return segment;
  }
  return std::nullopt;
}

void SegmentStore::give_up_compacting(const SegmentPtr& segment) {
  const std::lock_guard lock(mutex_);
  segment->is_poor = true;
}

void SegmentStore::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  prepared_.notify_all();
}

void SegmentStore::hold(std::int64_t change_bytes) {
  kept_bytes_ += static_cast<std::uint64_t>(change_bytes);
  kept_gauge_.set(static_cast<double>(kept_bytes_.load(std::memory_order_relaxed)));
}

void SegmentStore::show() {
  std::array<std::size_t, 5> counts{};
  for (const auto& [number, segment] : segments_) {
    ++counts[static_cast<std::size_t>(segment->state)];
  }
  constexpr std::array<const char*, 5> kNames{"ready", "current", "sealed", "idle", "damaged"};
  for (std::size_t i = 0; i < counts.size(); ++i) {
    env_.metrics.gauge("spool_segments", "Segments of the spool, by state.", {{"state", kNames[i]}})
        .set(static_cast<double>(counts[i]));
  }
}

}  // namespace isthmus::segments
