// Who goes first when there is not enough for all. Private to the pipeline.
#pragma once

#include <map>
#include <vector>

#include "model/batch.h"

namespace isthmus {

// The lane stat before the rest; in each, oldest first, but a study's second batch counts as a
// minute younger than it is, its third as two: a study of ten thousand images does not keep the
// small ones behind it waiting for all of its batches, and is not put off for ever by them either.
// Batches that several studies share stand each for itself. `gone` counts a study's batches that
// had their turn already: where there is one turn at a time, each would be its study's first else.
void put_in_fair_order(std::vector<Batch>& batches, const std::map<Uid, int>& gone = {});

}  // namespace isthmus
