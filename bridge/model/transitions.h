// The state tables of DESIGN.md section 5. They produce the SQL CHECKs, docs/STATES.md and the
// exhaustive test; no other code decides what may follow what.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>

namespace isthmus {

enum class DeliveryState { waiting, staged, imported, rejected, quarantined, discarded };
enum class DeliveryEvent {
  object_confirmed,
  outcome_imported,
  outcome_rejected,
  outcome_unaccounted,
  attempts_exhausted,
  input_unusable,
  batch_abandoned,
  retry_ordered,
  discard_ordered,  // a person decided that it is not to be imported, and why
  received_again,   // its sender sent it once more: a person is asked once more
};

enum class BatchState { open, sealed, staged, submitted, settled, reconciled, stuck, abandoned };
enum class BatchEvent {
  seal,
  all_staged,
  emptied,
  job_started,
  job_ended,
  job_failed,
  outcomes_recorded,
  give_up,
  retry_ordered,
};

enum class ImportJobState { intended, running, succeeded, failed, lost };
enum class ImportJobEvent { started, ended_well, ended_badly, not_found };

// A storage commitment request (PS3.4 annex J): pending while instances are on their way, answered
// when its result stands and is to be reported, then told to its requester, or not.
enum class CommitmentState { pending, answered, delivered, refused, expired };
enum class CommitmentEvent {
  evaluated,           // every reference has its result
  acknowledged,        // the requester took the report
  report_refused,      // the requester will not have it: a person is asked
  deliveries_expired,  // the requester could not be told for too long
  requested_again,     // devices repeat a request when they lost the report
  resend_ordered,
};

// An update of metadata that was imported: pending until its study is, then applied image set by
// image set.
enum class MetadataUpdateState { pending, applying, applied, conflict, failed, reverted };
enum class MetadataUpdateEvent {
  planned,        // the study is imported, and what each image set needs is known
  all_applied,    // every image set has what was wanted
  values_differ,  // somebody else changed what was to be changed: a person is asked
  refused,        // the service will not have it, or could not be asked for too long
  retry_ordered,
  revert_applied,  // another update brought the image sets back to the versions before
};

// One image set of an update. `sent` is written before the call.
enum class MetadataStepState { planned, sent, applied, conflict, failed };
enum class MetadataStepEvent {
  intended,   // the call may be made from here on
  confirmed,  // the image set has what was wanted
  not_done,   // the call was not carried out, or another change came first: planned anew
  values_differ,
  refused,
};

template <typename State, typename Event>
struct Transition {
  State from;
  Event event;
  State to;
};

// The whole tables, in document order.
std::span<const Transition<DeliveryState, DeliveryEvent>> delivery_transitions();
std::span<const Transition<BatchState, BatchEvent>> batch_transitions();
std::span<const Transition<ImportJobState, ImportJobEvent>> import_job_transitions();
std::span<const Transition<CommitmentState, CommitmentEvent>> commitment_transitions();
std::span<const Transition<MetadataUpdateState, MetadataUpdateEvent>> metadata_update_transitions();
std::span<const Transition<MetadataStepState, MetadataStepEvent>> metadata_step_transitions();

// The next state; nothing when the table does not have the pair.
std::optional<DeliveryState> next(DeliveryState from, DeliveryEvent event);
std::optional<BatchState> next(BatchState from, BatchEvent event);
std::optional<ImportJobState> next(ImportJobState from, ImportJobEvent event);
std::optional<CommitmentState> next(CommitmentState from, CommitmentEvent event);
std::optional<MetadataUpdateState> next(MetadataUpdateState from, MetadataUpdateEvent event);
std::optional<MetadataStepState> next(MetadataStepState from, MetadataStepEvent event);

// Enumerators as they stand in SQL, JSON, logs and speech, and back.
std::string_view to_string(DeliveryState state);
std::string_view to_string(DeliveryEvent event);
std::string_view to_string(BatchState state);
std::string_view to_string(BatchEvent event);
std::string_view to_string(ImportJobState state);
std::string_view to_string(ImportJobEvent event);
std::string_view to_string(CommitmentState state);
std::string_view to_string(CommitmentEvent event);
std::string_view to_string(MetadataUpdateState state);
std::string_view to_string(MetadataUpdateEvent event);
std::string_view to_string(MetadataStepState state);
std::string_view to_string(MetadataStepEvent event);
std::optional<DeliveryState> delivery_state_from(std::string_view text);
std::optional<BatchState> batch_state_from(std::string_view text);
std::optional<ImportJobState> import_job_state_from(std::string_view text);
std::optional<CommitmentState> commitment_state_from(std::string_view text);
std::optional<MetadataUpdateState> metadata_update_state_from(std::string_view text);
std::optional<MetadataStepState> metadata_step_state_from(std::string_view text);

std::span<const DeliveryState> all_delivery_states();
std::span<const DeliveryEvent> all_delivery_events();
std::span<const BatchState> all_batch_states();
std::span<const BatchEvent> all_batch_events();
std::span<const ImportJobState> all_import_job_states();
std::span<const ImportJobEvent> all_import_job_events();
std::span<const CommitmentState> all_commitment_states();
std::span<const CommitmentEvent> all_commitment_events();
std::span<const MetadataUpdateState> all_metadata_update_states();
std::span<const MetadataUpdateEvent> all_metadata_update_events();
std::span<const MetadataStepState> all_metadata_step_states();
std::span<const MetadataStepEvent> all_metadata_step_events();

// No table row leaves these: done, nothing more will happen by itself or by order. What was
// discarded is done, too, unless its sender sends it again; a commitment
// that was delivered is done, too; only its requester, or an operator, can have it reported once
// more.
bool is_final(DeliveryState state);
bool is_final(BatchState state);
// An update that was applied or reverted is done; that it can be reverted is another update's
// doing.
bool is_final(CommitmentState state);
bool is_final(MetadataUpdateState state);
// A person is asked: rejected and quarantined deliveries, stuck batches, commitments that their
// requester would not have or could not be told, updates that conflict or were refused.
bool asks_for_person(DeliveryState state);
bool asks_for_person(BatchState state);
bool asks_for_person(CommitmentState state);
bool asks_for_person(MetadataUpdateState state);

}  // namespace isthmus
