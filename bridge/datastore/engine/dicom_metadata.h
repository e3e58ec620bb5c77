// A DCMTK data set as HealthImaging's metadata: contracts/healthimaging/README.md section 4.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

class DcmItem;

namespace isthmus::datastore {

struct Metadata {
  nlohmann::json patient = nlohmann::json::object();
  nlohmann::json study = nlohmann::json::object();
  nlohmann::json series = nlohmann::json::object();
  nlohmann::json instance = nlohmann::json::object();
  nlohmann::json vrs = nlohmann::json::object();  // of elements without a keyword
};

// Adds every element of group 2.
void add_file_meta(DcmItem& file_meta, Metadata& metadata);
// Adds every element of the data set but pixel data, group lengths, and groups that must not be in
// one.
void add_dataset(DcmItem& dataset, Metadata& metadata);
// Adds an element that was left out of the data set for its length, as null.
void add_left_out(std::uint32_t tag, const std::string& vr, Metadata& metadata);

// What the dictionary says of a keyword: {"tag":"00100010","vr":"PN","several":false,
// "level":"patient"}; null when it does not know it.
nlohmann::json describe_keyword(const std::string& keyword);

}  // namespace isthmus::datastore
