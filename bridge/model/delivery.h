// One instance's progress to one destination.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/batch.h"
#include "model/instance.h"
#include "model/layout.h"
#include "model/transitions.h"

namespace isthmus {

struct Delivery {
  DeliveryId id;
  InstanceId instance;
  std::string destination;
  DeliveryState state = DeliveryState::waiting;
  std::optional<BatchId> batch;
  std::int64_t attempts = 0;
  std::optional<WallTime> next_attempt_at;  // absent when final or when it asks for a person
  std::string reason_code;                  // the last error, or the service's reason
  std::string reason;
  std::string image_set_id;
  std::optional<std::int64_t> image_set_version;
  std::optional<bool> primary;
  WallTime changed_at;
};

// A delivery that no batch holds yet, as the batcher needs it.
struct WaitingDelivery {
  DeliveryId id;
  Uid study_instance_uid;
  std::uint64_t size_bytes = 0;
  WallTime received_at;
  std::int64_t attempts = 0;
  // What rules about lanes look at.
  std::string calling_ae_title = {};
  std::string called_ae_title = {};
  std::string modality = {};
};

// A delivery whose object is to be put, as the stager needs it.
struct StagingItem {
  DeliveryId delivery;
  BatchId batch;
  InstanceId instance;
  SpoolRef spool_ref;
  std::uint64_t size_bytes = 0;
  Digest file_digest;  // empty: taken while staging, if the data set is what it was when received
  std::int64_t attempts = 0;
  Digest dataset_digest;
  std::uint64_t dataset_offset_bytes = 0;
  Lane lane = Lane::routine;  // of its batch
};

}  // namespace isthmus
