// SearchImageSets: the request's criteria as a query of the engine, and its pages.
#pragma once

#include <string>

#include "datastore/engine/image_set_store.h"
#include "wire/healthimaging.h"

namespace isthmus::datastore {

// "ValidationException" (permanent): EQUAL without exactly one value, BETWEEN without two of one
// date, a lower bound above the upper one, a nextToken that is not of this search. A second filter
// narrows the first.
Result<ImageSetQuery> to_query(const wire::healthimaging::SearchImageSetsRequest& request);
// The token for the page behind `last`.
std::string search_token(const wire::healthimaging::SearchImageSetsRequest& request,
                         const ImageSetQuery& query, const ImageSetSummary& last);
wire::healthimaging::ImageSetsMetadataSummary to_wire(const ImageSetSummary& summary);

}  // namespace isthmus::datastore
