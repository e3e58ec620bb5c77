// One instance on its way into the spool: what every receiver does between the first byte and the
// promise. Bytes are taken as they come, never decoded; their head says whose they are; nothing is
// committed before the receiver has looked at that.
//
//   InstanceIntake intake(spool, origin, most_bytes);
//   intake.dataset_follows(meta);   or   intake.file_follows();
//   intake.append(bytes) …        or   intake.gather_file(file); … intake.look();
//   intake.identify();              what it is, or why it cannot be taken
//   intake.secure(route);           optional: durable, while it may still be refused
//   intake.commit(route);           durable, and ours
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dicom/part10.h"
#include "dicom/probe.h"
#include "senders/routes.h"
#include "spool/spool.h"

namespace isthmus {

// Where an instance goes, by what its head says; the receiver fills in who sent it. Empty: to every
// destination.
using RouteInstance = std::function<std::optional<std::vector<std::string>>(RouteAttributes)>;

// One thread at a time. Destroyed without commit(), it leaves nothing behind. Once something is
// wrong, what was spooled is given up at once; what comes after that is looked at, as long as it
// may still say which instance it is, and dropped.
class InstanceIntake {
 public:
  // `spool` and `origin` outlive it. `most_bytes`: of the data set or the file that follows.
  InstanceIntake(Spool& spool, const Origin& origin, std::uint64_t most_bytes);

  // What comes next is a data set in meta's transfer syntax; a Part 10 header is put before it.
  void dataset_follows(const dicom::FileMeta& meta);
  // What comes next is a Part 10 file, kept byte for byte.
  void file_follows();
  void append(ByteSpan bytes);
  // Instead of these, for whoever may not look at it now: copies the whole file and never waits.
  // False: the spool has no memory for it now, and this object is of no more use.
  bool gather_file(ByteSpan file);
  // Then, in any thread, once, before identify(): takes what was gathered as append() would have.
  void look();

  // After the last byte. Whatever went wrong first: errors of the spool, of dicom/part10.h and
  // dicom/probe.h, "dicom.instance_too_large" (permanent). Valid as long as this object.
  Result<const Identity*> identify();
  // After identify() succeeded, once, before commit(). Errors of IncomingInstance::secure().
  Result<void> secure(const RouteInstance& route);
  // After identify() succeeded, once. `sent_by`: when more is known of that than at the beginning.
  // Errors of IncomingInstance::commit().
  Result<Receipt> commit(const RouteInstance& route, std::optional<Origin> sent_by = std::nullopt);

  bool failed() const { return failure_.has_value(); }
  std::uint64_t received_bytes() const { return received_bytes_; }
  // As they stood in the data set, even when it cannot be taken; empty when they were not seen.
  std::string_view seen_sop_class_uid() const;
  std::string_view seen_sop_instance_uid() const;
  const std::string& transfer_syntax_uid() const { return transfer_syntax_uid_; }
  // Of the file meta information that came with a file; empty otherwise.
  const dicom::FileHead& file_head() const { return file_head_; }

 private:
  void begin();
  Identified identified(const RouteInstance& route) const;
  void spool_bytes(ByteSpan bytes);
  void take_dataset(ByteSpan bytes);
  void end_head();
  void give_up(Error error);

  Spool& spool_;
  const Origin& origin_;
  const std::uint64_t most_bytes_;
  std::unique_ptr<IncomingInstance> incoming_;
  std::unique_ptr<dicom::Probe> probe_;
  std::optional<Error> failure_;
  std::optional<Identity> identity_;
  std::string transfer_syntax_uid_;
  dicom::FileHead file_head_;
  Bytes head_;  // of a file, until its meta information is whole
  bool in_head_ = false;
  std::uint64_t dataset_offset_bytes_ = 0;
  std::uint64_t received_bytes_ = 0;
};

}  // namespace isthmus
