// Bodies of Store requests, as clients send them, and what an answer says.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "http/http.h"

namespace isthmus::test {

constexpr std::string_view kStowBoundary = "a-boundary'()+_,./:=?";

struct StowPart {
  std::string body;
  std::string head = "Content-Type: application/dicom\r\n";
};

inline std::string related(const std::vector<StowPart>& parts,
                           std::string_view boundary = kStowBoundary) {
  std::string body;
  for (const StowPart& part : parts) {
    body += "--" + std::string(boundary) + "\r\n" + part.head + "\r\n" + part.body + "\r\n";
  }
  return body + "--" + std::string(boundary) + "--\r\n";
}

inline std::string related_type(std::string_view type = "application/dicom") {
  return "multipart/related; type=\"" + std::string(type) + "\"; boundary=\"" +
         std::string(kStowBoundary) + "\"";
}

// An answer in JSON: UIDs with their reasons (0: stored without a warning).
struct StowAnswer {
  int status = 0;
  http::Headers headers;
  std::string body;
  std::map<std::string, int> stored;
  std::map<std::string, int> failed;
  std::vector<int> other_failures;

  static StowAnswer of(http::Response response) {
    StowAnswer answer;
    answer.status = response.status;
    answer.headers = response.headers;
    if (response.body) answer.body = read_all(*response.body, 64 * MiB).value();
    const auto module = nlohmann::json::parse(answer.body, nullptr, false);
    if (!module.is_object()) return answer;
    const auto items = [&module](const char* tag) {
      const auto found = module.find(tag);
      return found == module.end() ? nlohmann::json::array() : found->at("Value");
    };
    const auto number = [](const nlohmann::json& item, const char* tag) {
      return item.contains(tag) ? item[tag]["Value"][0].get<int>() : 0;
    };
    const auto uid = [](const nlohmann::json& item) {
      return item["00081155"]["Value"][0].get<std::string>();
    };
    for (const auto& item : items("00081199")) answer.stored[uid(item)] = number(item, "00081196");
    for (const auto& item : items("00081198")) answer.failed[uid(item)] = number(item, "00081197");
    for (const auto& item : items("0008119A")) {
      answer.other_failures.push_back(number(item, "00081197"));
    }
    return answer;
  }
};

}  // namespace isthmus::test
