// What is noted in a bucket about instances that are replaced in a DICOM store (imports/google/
// replacing.cc): an order, the list of what it is about, its end. And what a store says of the
// attributes of a change. JSON, both directions. No I/O.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/metadata.h"
#include "wire/dicom_json.h"
#include "wire/dicom_json_values.h"

namespace isthmus::wire::replacements {

struct Order {
  std::string id;       // told apart from another order of the same number
  std::string carrier;  // series ("studies/…/series/…") whose order makes this one valid, too
  std::int64_t carrier_version = 0;  // 0: it is valid by itself
  std::vector<std::string> others;   // UIDs of the series that it carries
  std::int64_t revert_to = 0;        // instead of a change; 0: none
  MetadataChange change;
};
std::string print(const Order& order);
// "replacements.malformed" (permanent), as of all parsers here.
Result<Order> parse_order(std::string_view json);

struct Item {
  std::string series_instance_uid;
  std::string sop_instance_uid;
  std::string from;  // object that is put in the instance's place; empty: it is changed
};
std::string print(const std::vector<Item>& items);
Result<std::vector<Item>> parse_items(std::string_view json);

struct End {
  bool failed = false;
  std::string message;
};
std::string print(const End& end);
Result<End> parse_end(std::string_view json);

// What WADO-RS metadata (an array of DICOM JSON) say of each attribute of a change, as
// MetadataService has values; `tags` knows the tags of keywords. Of patient, study and series
// attributes all data sets are looked at: the value is one that is not what is wanted, if any is.
// "metadata.unsupported" (permanent) for values that are only referred to.
Result<MetadataValues> values_in(std::string_view metadata, const MetadataChange& change,
                                 const ElementLookup& tags, const FormLookup& look_up);

}  // namespace isthmus::wire::replacements
