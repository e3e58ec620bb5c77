// A MetadataService in memory, with teeth: versions, locks, changes that are done only when they
// were asked about a few times, study-wide updates, refusals, and answers that are lost after the
// change happened. Any thread.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "imports/metadata_service.h"

namespace isthmus::test {

class MemoryMetadataService : public MetadataService {
 public:
  enum class Call { status, values, update, revert };
  // Asked before each call, without a lock held; an error is given to the caller, and nothing
  // happens.
  using Hook = std::function<std::optional<Error>(Call, const std::string& image_set)>;

  // Where an attribute is: level, series, instance, key. Instances have a place without a key.
  using Place = std::tuple<MetadataLevel, std::string, std::string, std::string>;
  using Document = std::map<Place, std::string>;
  static Place place_of(const AttributeChange& change);

  explicit MemoryMetadataService(MetadataLimits limits = {}) : limits_(limits) {}

  MetadataLimits limits() const override { return limits_; }
  Result<ImageSetStatus> status(const std::string& image_set_id) override;
  Result<MetadataValues> values(const std::string& image_set_id, std::int64_t version,
                                const MetadataChange& change) override;
  Result<std::int64_t> update(const std::string& image_set_id, const MetadataUpdate& update,
                              std::int64_t seen) override;
  Result<std::int64_t> revert(const std::string& image_set_id, std::int64_t to,
                              std::int64_t seen) override;

  // --- what is imported
  // ---------------------------------------------------------------------------
  void add(const std::string& image_set_id, const std::string& study, bool primary,
           Document document);
  void remove(const std::string& image_set_id);
  // Somebody else's change: a new version at once.
  void change_outside(const std::string& image_set_id, const Place& place,
                      std::optional<std::string> value);
  void lock(const std::string& image_set_id, bool locked);

  // --- teeth
  // --------------------------------------------------------------------------------------
  void set_hook(Hook hook);
  void refuse(Call call, Error error, int times = 1);
  // The next `times` updates or reverts happen, and are answered with "metadata.unavailable".
  void lose_answers(int times = 1);
  // Changes accepted from now on are seen as changing this often.
  void set_polls_until_done(int polls);
  // The next `times` accepted updates end as UPDATE_FAILED.
  void fail_updates(int times = 1);

  // --- looking in
  // ---------------------------------------------------------------------------------
  std::optional<std::string> value(const std::string& image_set_id, const Place& place) const;
  std::int64_t version(const std::string& image_set_id) const;
  // Changes that were accepted, by image set: those made along with another one as well.
  int accepted(const std::string& image_set_id) const;
  int calls(Call call) const;

 private:
  struct Set {
    std::string study;
    bool primary = true;
    std::vector<Document> versions;  // the last one is the newest
    bool locked = false;             // by somebody else
    int polls_left = 0;
    bool failed = false;
    int accepted = 0;
  };
  std::optional<Error> admit(Call call, const std::string& image_set);
  Result<std::vector<Set*>> changeable(const std::string& image_set, std::int64_t seen,
                                       bool include_study);  // lock held
  void accept(Set& set, Document next);
  Result<std::int64_t> answer(std::int64_t version);

  const MetadataLimits limits_;
  mutable std::mutex mutex_;
  std::map<std::string, Set> sets_;
  std::map<Call, std::vector<Error>> refusals_;
  std::map<Call, int> calls_;
  Hook hook_;
  int lost_ = 0;
  int polls_until_done_ = 1;
  int failing_ = 0;
};

}  // namespace isthmus::test
