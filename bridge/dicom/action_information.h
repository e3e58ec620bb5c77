// The action information of a storage commitment request (PS3.4 table J.3-1), read as it comes:
// lists of tens of thousands of references occur, so neither the data set nor a parsed form of it
// is ever held, only the list itself.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "base/result.h"
#include "model/commitment.h"

namespace isthmus::dicom {

struct Action {
  Uid transaction_uid;
  SopReferences references;  // sorted and united
};

// One thread at a time. Iterative and bounded, whatever the bytes are.
class ActionInformation {
 public:
  ActionInformation(std::string_view transfer_syntax_uid, std::size_t max_references);
  ~ActionInformation();

  // The next bytes of the data set; whatever follows something wrong is dropped.
  void feed(ByteSpan bytes);
  // So far.
  std::size_t references() const;
  // After the last byte, once. "commitment.missing_argument": no Transaction UID or no Referenced
  // SOP Sequence. "commitment.invalid_argument": either is empty, an item lacks a UID or has none
  // that is one, there are too many items, or it is no data set (all permanent).
  Result<Action> finish();

 private:
  class Reader;
  std::unique_ptr<Reader> reader_;
};

}  // namespace isthmus::dicom
