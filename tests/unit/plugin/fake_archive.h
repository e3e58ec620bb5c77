// An Orthanc in memory: instances, studies and a change feed, with teeth: it fails and forgets.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "plugin/archive.h"

namespace isthmus::test {

class FakeArchive : public plugin::Archive {
 public:
  // Orthanc's ids are 40 hex digits in groups; these are made of a number.
  static std::string id(int number) { return fmt::format("{:0>44}", number); }

  // A change of the feed, and the instance as it stands then.
  void store(int number, const std::string& file, const std::string& day = "20260131T093000") {
    instances_[id(number)] = {file, day};
    changes_.push_back({"NewInstance", id(number)});
    changes_.push_back({"NewSeries", id(number + 1'000'000)});
  }
  void put_into_study(int study, int number) { studies_[id(study)].push_back(id(number)); }
  void remove(int number) { instances_.erase(id(number)); }
  void drop_newest_change() { changes_.pop_back(); }
  void lose_changes() { changes_.clear(); }
  std::int64_t last() const { return static_cast<std::int64_t>(changes_.size()); }
  int fetched(int number) const {
    const auto found = fetched_.find(id(number));
    return found == fetched_.end() ? 0 : found->second;
  }
  // Asked first; an error is what the caller gets.
  std::function<std::optional<Error>(const std::string& path)> hook;

  Result<std::string> get(const std::string& path) override {
    if (hook) {
      if (auto error = hook(path)) return *error;
    }
    if (path == "/changes?last") return fmt::format(R"({{"Changes":[],"Last":{}}})", last());
    if (path.starts_with("/changes?since=")) return changes(path);
    if (path == "/studies") return studies();
    if (path.starts_with("/patients/")) return patient(path);
    if (path.starts_with("/studies/")) return instances_of(path.substr(9, 44));
    const auto found = instances_.find(path.substr(11, 44));
    if (found == instances_.end()) return permanent_error("orthanc.not_found", "Gone.");
    if (path.size() == 11 + 44) return shown(found->first);
    if (path.ends_with("/patient")) return R"({"ID":")" + id(0) + R"("})";
    if (path.ends_with("/metadata?expand")) {
      return fmt::format(R"({{"RemoteAET":"CT1 ","ReceptionDate":"{}"}})", found->second.day);
    }
    ++fetched_[found->first];
    return found->second.file;
  }
  Result<std::string> post(const std::string& path, const std::string& body) override {
    if (hook) {
      if (auto error = hook(path)) return *error;
    }
    const auto found = uids_.find(body);
    if (found == uids_.end()) return std::string("[]");
    return fmt::format(R"([{{"ID":"{}","Type":"{}"}}])", found->second.second, found->second.first);
  }
  Result<void> put(const std::string& path, const std::string& body) override {
    if (hook) {
      if (auto error = hook(path)) return *error;
    }
    metadata[path] = body;
    if (path.ends_with("/protected")) is_protected = body == "1";
    return {};
  }
  Result<void> remove(const std::string& path) override {
    if (path.starts_with("/patients/") && metadata.erase(path) > 0) return {};
    if (instances_.erase(path.substr(11, 44)) == 0) {
      return permanent_error("orthanc.not_found", "Gone.");
    }
    return {};
  }

  Result<std::string> note() override { return note_; }
  Result<void> keep_note(const std::string& line) override {
    note_ = line;
    return {};
  }
  // Another database, or an older one, in place of this one.
  void set_note(const std::string& line) { note_ = line; }

  // What /tools/lookup finds, what was put, and whether the one patient is protected.
  void know(const std::string& uid, const std::string& kind, int number) {
    uids_[uid] = {kind, id(number)};
  }
  bool holds(int number) const { return instances_.contains(id(number)); }
  std::map<std::string, std::string> metadata;
  bool is_protected = false;

 private:
  struct Change {
    std::string kind, id;
  };
  struct Held {
    std::string file, day;
  };

  // There is one, of all instances.
  Result<std::string> patient(const std::string& path) const {
    if (path.ends_with("/protected")) return std::string(is_protected ? "1" : "0");
    if (path.ends_with("/instances")) {
      std::string list;
      for (const auto& [instance, held] : instances_) {
        if (!list.empty()) list += ",";
        list += shown(instance);
      }
      return "[" + list + "]";
    }
    const auto note = metadata.find(path);
    if (note == metadata.end()) return permanent_error("orthanc.not_found", "No such metadata.");
    return note->second;
  }
  std::string shown(const std::string& instance) const {
    for (const auto& [uid, known] : uids_) {
      if (known.first != "Instance" || known.second != instance) continue;
      return fmt::format(R"({{"ID":"{}","MainDicomTags":{{"SOPInstanceUID":"{}"}}}})", instance,
                         uid);
    }
    return R"({"ID":")" + instance + R"(","MainDicomTags":{"SOPInstanceUID":"1.2.3.4.5"}})";
  }
  std::string changes(const std::string& path) const {
    const auto since = std::stoul(path.substr(15));
    const auto limit = std::stoul(path.substr(path.find("limit=") + 6));
    std::string list;
    std::size_t at = since;
    for (; at < changes_.size() && at < since + limit; ++at) {
      if (!list.empty()) list += ",";
      list += fmt::format(R"({{"ChangeType":"{}","ID":"{}","Seq":{}}})", changes_[at].kind,
                          changes_[at].id, at + 1);
    }
    return fmt::format(R"({{"Changes":[{}],"Done":{},"Last":{}}})", list, at >= changes_.size(),
                       at);
  }
  std::string studies() const {
    std::string list;
    for (const auto& [study, members] : studies_) {
      if (!list.empty()) list += ",";
      list += '"' + study + '"';
    }
    return "[" + list + "]";
  }
  Result<std::string> instances_of(const std::string& study) const {
    const auto found = studies_.find(study);
    if (found == studies_.end()) return permanent_error("orthanc.not_found", "Gone.");
    std::string list;
    for (const std::string& one : found->second) {
      if (!list.empty()) list += ",";
      list += R"({"ID":")" + one + R"("})";
    }
    return "[" + list + "]";
  }

  std::string note_;
  std::vector<Change> changes_;
  std::map<std::string, Held> instances_;
  std::map<std::string, std::vector<std::string>> studies_;
  std::map<std::string, int> fetched_;
  std::map<std::string, std::pair<std::string, std::string>> uids_;
};

}  // namespace isthmus::test
