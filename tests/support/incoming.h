// An instance as a receiver hands it to a spool: what stands before the data set, the data set, and
// who it is. The bytes are random; a spool does not look at them.
#pragma once

#include <cstring>
#include <random>
#include <string>

#include "spool/spool.h"

namespace isthmus::test {

struct Sent {
  std::string head;  // preamble, "DICM", file meta
  std::string dataset;
  Identified identified;

  std::string whole() const { return head + dataset; }
};

inline Sent make_sent(std::uint64_t number, std::size_t dataset_bytes) {
  Sent sent;
  std::mt19937_64 random(number);
  const auto fill = [&](std::string& text, std::size_t size) {
    text.resize(size + 8);
    for (std::size_t at = 0; at < size; at += 8) {
      const std::uint64_t eight = random();
      std::memcpy(text.data() + at, &eight, 8);
    }
    text.resize(size);
  };
  fill(sent.head, 300 + number % 64);
  fill(sent.dataset, dataset_bytes);
  const std::string root = "1.2.826.0.1.3680043.10.1." + std::to_string(number);
  sent.identified.identity = {.sop_class_uid = *Uid::parse("1.2.840.10008.5.1.4.1.1.2"),
                              .sop_instance_uid = *Uid::parse(root + ".3"),
                              .series_instance_uid = *Uid::parse(root + ".2"),
                              .study_instance_uid = *Uid::parse(root + ".1"),
                              .patient_id = "SYNTHETIC",
                              .modality = "CT"};
  sent.identified.transfer_syntax_uid = "1.2.840.10008.1.2.1";
  sent.identified.dataset_offset_bytes = sent.head.size();
  return sent;
}

// Appends everything, the data set in pieces of `piece_bytes`, as PDVs come.
inline Result<void> append_all(IncomingInstance& incoming, const Sent& sent,
                               std::size_t piece_bytes = 16 * KiB) {
  TRY(incoming.append(as_bytes(sent.head)));
  incoming.dataset_begins();
  std::string_view rest = sent.dataset;
  while (!rest.empty()) {
    const std::string_view piece = rest.substr(0, piece_bytes);
    TRY(incoming.append(as_bytes(piece)));
    rest.remove_prefix(piece.size());
  }
  return {};
}

inline Result<Receipt> send(Spool& spool, const Sent& sent, std::size_t piece_bytes = 16 * KiB) {
  TRY_ASSIGN(const auto incoming, spool.begin({}));
  TRY(append_all(*incoming, sent, piece_bytes));
  return incoming->commit(sent.identified);
}

// What the spool has under this reference, or the code of the error.
inline std::string stored(Spool& spool, const SpoolRef& ref) {
  auto source = spool.open(ref);
  if (!source.ok()) return source.error().code;
  auto text = read_all(**source, 1 * GiB);
  return text.ok() ? *text : text.error().code;
}

}  // namespace isthmus::test
