// An instance on its way into a segment: gathered in memory, then one record. When it grows too
// large, or there is no memory or no segment for it, it goes on as a file.
#include "base/digest.h"
#include "base/failpoint.h"
#include "spool/segments/segment_spool.h"

namespace isthmus::segments {
namespace {

class IncomingRecord : public IncomingInstance {
 public:
  IncomingRecord(Workshop& workshop, InstanceId id, Origin origin)
      : workshop_(workshop),
        id_(std::move(id)),
        origin_(std::move(origin)),
        gathered_(workshop.buffers, kPayloadOffset) {}

  ~IncomingRecord() override {
    if (secured_) workshop_.withdraw(secured_->slot);
    leave_memory();
  }

  const InstanceId& id() const override { return id_; }

  Result<void> append(ByteSpan bytes) override {
    ASSERT(!concluded_);
    if (file_) return file_->append(bytes);
    if (looked_at_bytes_ == size_bytes_) {
      if (size_bytes_ + bytes.size() > workshop_.options.max_instance_bytes) {
        TRY(go_on_as_file("too_large"));
        return file_->append(bytes);
      }
      if (!gathered_.append(bytes)) {
        TRY(go_on_as_file("no_memory"));
        return file_->append(bytes);
      }
      hold(bytes.size());
    }
    look_at(bytes);
    return {};
  }

  bool gather(ByteSpan file) override {
    ASSERT(size_bytes_ == 0);
    if (file.size() > workshop_.options.max_instance_bytes || !gathered_.append_now(file)) {
      gathered_.clear();
      return false;
    }
    hold(file.size());
    return true;
  }
  std::vector<ByteSpan> gathered() const override { return gathered_.pieces(kPayloadOffset); }

  void dataset_begins() override {
    ASSERT(!dataset_begins_at_);
    dataset_begins_at_ = looked_at_bytes_;
    if (file_) file_->dataset_begins();
  }

  Result<void> secure(const Identified& identified) override {
    ASSERT(!concluded_ && !secured_);
    if (file_) return {};
    ASSERT(looked_at_bytes_ == size_bytes_);
    if (!dataset_begins_at_ || identified.dataset_offset_bytes != *dataset_begins_at_) {
      return permanent_error("spool.dataset_offset",
                             "The data set does not begin where the receiver said.");
    }
    TRY(workshop_.admission.check_continue());
    TRY(workshop_.follower.wait_for_room());
    Record record;
    record.arrival = arrival(identified);
    record.head_checksum = head_checksum_;
    if (!fits(record)) return go_on_as_file("long_header");
    const Result<Slot> slot = workshop_.append(record, gathered_);
    if (!slot.ok() && slot.error().code == "spool.no_segment") return go_on_as_file("no_segment");
    if (!slot.ok()) return slot.error();
    record.arrival.spool_ref = to_ref(slot->place);
    secured_.emplace(Secured{*slot, std::move(record.arrival)});
    leave_memory();
    return {};
  }

  Result<Receipt> commit(const Identified& identified) override {
    ASSERT(!concluded_);
    if (!secured_) {
      auto secured = secure(identified);
      concluded_ = true;
      TRY(std::move(secured));
    }
    concluded_ = true;
    if (file_) return file_->commit(identified);
    Secured secured = *std::exchange(secured_, std::nullopt);
    secured.arrival.destinations = identified.destinations;
    if (identified.origin) secured.arrival.origin = *identified.origin;
    workshop_.store.conclude(secured.slot, true);
    workshop_.follower.settle(secured.slot.sequence, std::move(secured.arrival));
    workshop_.records.add();
    FAILPOINT(segment_promised);
    return Receipt{id_, false};
  }

 private:
  // In a segment and durable, and without a row.
  struct Secured {
    Slot slot;
    Arrival arrival;
  };

  Arrival arrival(const Identified& identified) {
    Arrival arrival;
    arrival.id = id_;
    arrival.identity = identified.identity;
    arrival.origin = identified.origin.value_or(origin_);
    arrival.transfer_syntax_uid = identified.transfer_syntax_uid;
    arrival.size_bytes = size_bytes_;
    arrival.dataset_offset_bytes = *dataset_begins_at_;
    arrival.dataset_digest = dataset_digest_.finish();
    arrival.received_at = workshop_.env.clock.wall_now();
    arrival.destinations = identified.destinations;
    return arrival;
  }

  void hold(std::size_t bytes) {
    size_bytes_ += bytes;
    workshop_.admission.in_flight(static_cast<std::int64_t>(bytes));
  }

  void look_at(ByteSpan bytes) {
    if (dataset_begins_at_) {
      dataset_digest_.update(bytes);
    } else {
      head_checksum_ = crc32c(bytes, head_checksum_);
    }
    looked_at_bytes_ += bytes.size();
  }

  // What was gathered so far goes to a file, and everything after it.
  Result<void> go_on_as_file(const char* reason) {
    workshop_.env.metrics
        .counter("spool_to_file_total", "Instances that went to a file of their own, by reason.",
                 {{"reason", reason}})
        .add();
    file_ = workshop_.files.take_over(id_, origin_);
    std::uint64_t at = 0;
    if (dataset_begins_at_ == std::uint64_t{0}) file_->dataset_begins();
    for (ByteSpan piece : gathered_.pieces(kPayloadOffset)) {
      if (dataset_begins_at_ && at < *dataset_begins_at_) {
        const ByteSpan head = piece.first(static_cast<std::size_t>(
            std::min<std::uint64_t>(*dataset_begins_at_ - at, piece.size())));
        TRY(file_->append(head));
        at += head.size();
        piece = piece.subspan(head.size());
        if (at == *dataset_begins_at_) file_->dataset_begins();
      }
      if (!piece.empty()) TRY(file_->append(piece));
      at += piece.size();
    }
    leave_memory();
    return {};
  }

  void leave_memory() {
    gathered_.clear();
    workshop_.admission.in_flight(-static_cast<std::int64_t>(size_bytes_));
    size_bytes_ = 0;
  }

  Workshop& workshop_;
  const InstanceId id_;
  const Origin origin_;
  Gathered gathered_;
  std::unique_ptr<IncomingInstance> file_;
  std::uint64_t size_bytes_ = 0;       // gathered
  std::uint64_t looked_at_bytes_ = 0;  // of these; fewer only behind gather()
  std::optional<std::uint64_t> dataset_begins_at_;
  std::uint32_t head_checksum_ = 0;
  Sha256 dataset_digest_;
  std::optional<Secured> secured_;
  bool concluded_ = false;
};

}  // namespace

std::unique_ptr<IncomingInstance> begin_record(Workshop& workshop, InstanceId id, Origin origin) {
  return std::make_unique<IncomingRecord>(workshop, std::move(id), std::move(origin));
}

Result<Slot> Workshop::append(Record& record, Gathered& bytes) {
  TRY_ASSIGN(Slot slot, store.reserve(record.arrival.size_bytes,
                                      [&](const Slot& opened) { follower.open(opened); }));
  record.sequence = slot.sequence;
  bytes.set_header(*encode(record, slot.segment->header()));
  const std::vector<ByteSpan> blocks = bytes.blocks();
  if (auto written = slot.segment->file()->write_pieces_at(slot.place.offset, blocks);
      !written.ok()) {
    store.put_aside(slot.segment);
    give_up(slot);
    if (written.error().code == "disk.full") {
      admission.refresh();
      return transient_error("spool.full", "The spool's disk is full: free space on it.");
    }
    return transient_error("spool.io", "A segment of the spool could not be written (" +
                                           written.error().message +
                                           "): see whether the disk is failing.");
  }
  if (auto durable = slot.segment->make_durable(syncs); !durable.ok()) {
    store.put_aside(slot.segment);
    give_up(slot);
    if (durable.error().fate == Fate::fatal) {
      env.log.error("spool.segment_sync_failed", {{"message", durable.error().message}});
      admission.close(AdmissionState::failed);
      env.on_fatal(durable.error());
    }
    return durable.error();
  }
  return slot;
}

void Workshop::give_up(const Slot& slot) {
  store.conclude(slot, false);
  follower.drop(slot.sequence);
}

void Workshop::withdraw(const Slot& slot) {
  store.conclude(slot, false);
  follower.withdraw(slot.sequence);
}

}  // namespace isthmus::segments
