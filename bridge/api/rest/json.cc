#include "api/rest/json.h"

#include <algorithm>
#include <limits>

#include "model/layout.h"

namespace isthmus::api::rest {
namespace {

template <typename T>
void put(json& into, const char* name, const std::optional<T>& value) {
  if (value) into[name] = *value;
}

void put_time(json& into, const char* name, const std::optional<WallTime>& value) {
  if (value) into[name] = to_rfc3339(*value);
}

void put_reason(json& into, const std::string& code, const std::string& message) {
  if (!code.empty()) into["reason"] = {{"code", code}, {"message", message}};
}

json summary_json(const StudySummary& summary) {
  return {{"destination", summary.destination},
          {"received", summary.received},
          {"staged", summary.staged},
          {"imported", summary.imported},
          {"rejected", summary.rejected},
          {"quarantined", summary.quarantined},
          {"discarded", summary.discarded},
          {"unaccounted", summary.unaccounted},
          {"import_jobs", summary.import_job_ids},
          {"image_sets", summary.image_set_ids}};
}

}  // namespace

json delivery_json(const Delivery& delivery) {
  json body{{"id", delivery.id.text()},
            {"destination", delivery.destination},
            {"state", to_string(delivery.state)},
            {"since", to_rfc3339(delivery.changed_at)},
            {"attempts", delivery.attempts}};
  if (delivery.batch) body["batch"] = delivery.batch->text();
  put_time(body, "next_attempt_at", delivery.next_attempt_at);
  put_reason(body, delivery.reason_code, delivery.reason);
  if (!delivery.image_set_id.empty()) body["image_set"] = delivery.image_set_id;
  put(body, "image_set_version", delivery.image_set_version);
  put(body, "primary", delivery.primary);
  return body;
}

json instance_json(const InstanceView& view) {
  const Instance& instance = view.instance;
  json body{{"id", instance.id.text()},
            {"sop_class_uid", instance.sop_class_uid.text()},
            {"sop_instance_uid", instance.sop_instance_uid.text()},
            {"series_instance_uid", instance.series_instance_uid.text()},
            {"study_instance_uid", instance.study_instance_uid.text()},
            {"modality", instance.modality},
            {"transfer_syntax_uid", instance.transfer_syntax_uid},
            {"size_bytes", instance.size_bytes},
            {"dataset_digest", instance.dataset_digest.hex()},
            {"received_at", to_rfc3339(instance.received_at)},
            {"receiver", instance.origin.receiver},
            {"sender", instance.origin.calling_ae_title},
            {"called", instance.origin.called_ae_title},
            {"address", instance.origin.peer_address},
            {"identity_conflict", instance.identity_conflict},
            {"deliveries", json::array()}};
  if (!instance.file_digest.empty()) body["file_digest"] = instance.file_digest.hex();
  if (!instance.accession_hash.empty()) body["accession_hash"] = instance.accession_hash;
  if (instance.conflicts_with) body["conflicts_with"] = instance.conflicts_with->text();
  for (const Delivery& delivery : view.deliveries) {
    body["deliveries"].push_back(delivery_json(delivery));
  }
  return body;
}

json study_json(const StudyView& view) {
  json body{{"study_instance_uid", view.study_instance_uid.text()},
            {"instances", view.instances},
            {"series", view.series},
            {"size_bytes", view.size_bytes},
            {"first_received_at", to_rfc3339(view.first_received_at)},
            {"last_received_at", to_rfc3339(view.last_received_at)},
            {"last_sender", view.last_sender},
            {"accession_hashes", view.accession_hashes},
            {"destinations", json::array()}};
  for (const StudySummary& summary : view.destinations) {
    body["destinations"].push_back(summary_json(summary));
  }
  return body;
}

json series_json(const SeriesView& view) {
  return {{"series_instance_uid", view.series_instance_uid.text()},
          {"modality", view.modality},
          {"instances", view.instances},
          {"size_bytes", view.size_bytes},
          {"first_received_at", to_rfc3339(view.first_received_at)},
          {"last_received_at", to_rfc3339(view.last_received_at)}};
}

json batch_json(const BatchView& view) {
  const Batch& batch = view.batch;
  json body{{"id", batch.id.text()},
            {"destination", batch.destination},
            {"state", to_string(batch.state)},
            {"lane", to_string(batch.lane)},
            {"members", batch.members},
            {"size_bytes", batch.size_bytes},
            {"attempts", batch.attempts},
            {"opened_at", to_rfc3339(batch.opened_at)},
            {"last_joined_at", to_rfc3339(batch.last_joined_at)},
            {"imported", view.imported},
            {"rejected", view.rejected},
            {"unaccounted", view.unaccounted}};
  if (!batch.study_instance_uid.empty()) {
    body["study_instance_uid"] = batch.study_instance_uid.text();
  }
  put_time(body, "next_attempt_at", batch.next_attempt_at);
  put_reason(body, batch.reason_code, batch.reason);
  return body;
}

json import_job_json(const ImportJob& job, const RestParts& parts) {
  const ImportIntent& intent = job.intent;
  json body{{"id", intent.id.text()},
            {"batch", intent.batch.text()},
            {"destination", job.destination},
            {"state", to_string(job.state)},
            {"job_name", intent.job_name},
            {"intended_at", to_rfc3339(intent.intended_at)},
            {"polls", job.polls},
            {"input_prefix", intent.input_prefix}};
  put_time(body, "started_at", job.started_at);
  put_time(body, "ended_at", job.ended_at);
  put_time(body, "next_poll_at", job.next_poll_at);
  if (!job.message.empty()) body["message"] = job.message;
  const std::string& output = job.remote && !job.remote->output_prefix.empty()
                                  ? job.remote->output_prefix
                                  : intent.output_prefix;
  body["output_prefix"] = output;
  if (job.remote) body["remote_id"] = job.remote->id;
  const DestinationFace* destination = find_destination(parts, job.destination);
  if (destination != nullptr && job.ended_at) {
    body["manifests"] = "s3://" + destination->bucket + "/" + output;
  }
  return body;
}

json history_json(const HistoryEntry& entry) {
  json body{{"at", to_rfc3339(entry.at)},
            {"subject", entry.subject},
            {"id", entry.subject_id},
            {"event", entry.event},
            {"to", entry.to_state}};
  if (!entry.from_state.empty()) body["from"] = entry.from_state;
  if (!entry.why.empty()) body["why"] = entry.why;
  return body;
}

const DestinationFace* find_destination(const RestParts& parts, const std::string& name) {
  const auto found = std::ranges::find(parts.destinations, name, &DestinationFace::name);
  return found == parts.destinations.end() ? nullptr : &*found;
}

std::string object_key(const RestParts& parts, const std::string& destination,
                       const std::optional<BatchId>& batch, const InstanceId& instance) {
  const DestinationFace* face = find_destination(parts, destination);
  if (face == nullptr || !batch) return "";
  return layout::staged_object(face->object_prefix, *batch, instance).text;
}

PageAsked page_asked(const Query& query) {
  PageAsked asked;
  const std::int64_t cursor =
      query.integer("cursor", 0, 1, std::numeric_limits<std::int64_t>::max());
  if (cursor > 0) asked.before = cursor;
  asked.limit = static_cast<std::size_t>(
      query.integer("limit", kPageDefault, 1, static_cast<std::int64_t>(kPageMost)));
  return asked;
}

}  // namespace isthmus::api::rest

namespace isthmus::api {

void add_rest_routes(GuardedRouter& router, const RestParts& parts) {
  rest::add_study_routes(router, parts);
  rest::add_transfer_routes(router, parts);
  rest::add_event_routes(router, parts);
  rest::add_order_routes(router, parts);
  rest::add_drain_routes(router, parts);
  rest::add_peer_routes(router, parts);
}

}  // namespace isthmus::api
