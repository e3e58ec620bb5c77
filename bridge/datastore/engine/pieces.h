// Bytes that are made of others, one piece behind the other.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/bytes.h"

namespace isthmus::datastore {

struct Piece {
  std::uint64_t size_bytes = 0;
  // Called when its turn comes; again after a rewind.
  std::function<Result<std::unique_ptr<ByteSource>>()> open;
};
Piece piece_of(Bytes bytes);

// A piece that is of another size than it said is an error of read(), "datastore.piece_size"
// (permanent): what it is a part of has been announced.
std::unique_ptr<ByteSource> joined(std::vector<Piece> pieces);

}  // namespace isthmus::datastore
