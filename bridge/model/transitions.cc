#include "model/transitions.h"

namespace isthmus {
namespace {

using D = DeliveryState;
using DE = DeliveryEvent;
using B = BatchState;
using BE = BatchEvent;
using J = ImportJobState;
using JE = ImportJobEvent;
using C = CommitmentState;
using CE = CommitmentEvent;
using U = MetadataUpdateState;
using UE = MetadataUpdateEvent;
using S = MetadataStepState;
using SE = MetadataStepEvent;

constexpr std::array kDelivery{
    Transition<D, DE>{D::waiting, DE::object_confirmed, D::staged},
    Transition<D, DE>{D::staged, DE::outcome_imported, D::imported},
    Transition<D, DE>{D::staged, DE::outcome_rejected, D::rejected},
    Transition<D, DE>{D::staged, DE::outcome_unaccounted, D::waiting},
    Transition<D, DE>{D::waiting, DE::attempts_exhausted, D::quarantined},
    Transition<D, DE>{D::staged, DE::attempts_exhausted, D::quarantined},
    Transition<D, DE>{D::waiting, DE::input_unusable, D::quarantined},
    Transition<D, DE>{D::staged, DE::input_unusable, D::quarantined},
    Transition<D, DE>{D::staged, DE::batch_abandoned, D::waiting},
    Transition<D, DE>{D::rejected, DE::retry_ordered, D::waiting},
    Transition<D, DE>{D::quarantined, DE::retry_ordered, D::waiting},
    Transition<D, DE>{D::rejected, DE::discard_ordered, D::discarded},
    Transition<D, DE>{D::quarantined, DE::discard_ordered, D::discarded},
    Transition<D, DE>{D::discarded, DE::received_again, D::quarantined},
};

constexpr std::array kBatch{
    Transition<B, BE>{B::open, BE::seal, B::sealed},
    Transition<B, BE>{B::sealed, BE::all_staged, B::staged},
    Transition<B, BE>{B::sealed, BE::emptied, B::abandoned},
    Transition<B, BE>{B::staged, BE::job_started, B::submitted},
    Transition<B, BE>{B::submitted, BE::job_ended, B::settled},
    Transition<B, BE>{B::submitted, BE::job_failed, B::staged},
    Transition<B, BE>{B::settled, BE::outcomes_recorded, B::reconciled},
    Transition<B, BE>{B::sealed, BE::give_up, B::stuck},
    Transition<B, BE>{B::staged, BE::give_up, B::stuck},
    Transition<B, BE>{B::submitted, BE::give_up, B::stuck},
    Transition<B, BE>{B::settled, BE::give_up, B::stuck},
    Transition<B, BE>{B::stuck, BE::retry_ordered, B::abandoned},
};

constexpr std::array kImportJob{
    Transition<J, JE>{J::intended, JE::started, J::running},
    Transition<J, JE>{J::running, JE::ended_well, J::succeeded},
    Transition<J, JE>{J::running, JE::ended_badly, J::failed},
    Transition<J, JE>{J::running, JE::not_found, J::lost},
    Transition<J, JE>{J::intended, JE::not_found, J::lost},
};

constexpr std::array kCommitment{
    Transition<C, CE>{C::pending, CE::evaluated, C::answered},
    Transition<C, CE>{C::answered, CE::acknowledged, C::delivered},
    Transition<C, CE>{C::answered, CE::report_refused, C::refused},
    Transition<C, CE>{C::answered, CE::deliveries_expired, C::expired},
    Transition<C, CE>{C::delivered, CE::requested_again, C::pending},
    Transition<C, CE>{C::refused, CE::requested_again, C::pending},
    Transition<C, CE>{C::expired, CE::requested_again, C::pending},
    Transition<C, CE>{C::delivered, CE::resend_ordered, C::pending},
    Transition<C, CE>{C::refused, CE::resend_ordered, C::pending},
    Transition<C, CE>{C::expired, CE::resend_ordered, C::pending},
};

constexpr std::array kMetadataUpdate{
    Transition<U, UE>{U::pending, UE::planned, U::applying},
    Transition<U, UE>{U::pending, UE::values_differ, U::conflict},
    Transition<U, UE>{U::pending, UE::refused, U::failed},
    Transition<U, UE>{U::applying, UE::all_applied, U::applied},
    Transition<U, UE>{U::applying, UE::values_differ, U::conflict},
    Transition<U, UE>{U::applying, UE::refused, U::failed},
    Transition<U, UE>{U::conflict, UE::retry_ordered, U::pending},
    Transition<U, UE>{U::failed, UE::retry_ordered, U::pending},
    Transition<U, UE>{U::applied, UE::revert_applied, U::reverted},
    Transition<U, UE>{U::conflict, UE::revert_applied, U::reverted},
    Transition<U, UE>{U::failed, UE::revert_applied, U::reverted},
};

constexpr std::array kMetadataStep{
    Transition<S, SE>{S::planned, SE::intended, S::sent},
    Transition<S, SE>{S::planned, SE::confirmed, S::applied},
    Transition<S, SE>{S::planned, SE::values_differ, S::conflict},
    Transition<S, SE>{S::planned, SE::refused, S::failed},
    Transition<S, SE>{S::sent, SE::confirmed, S::applied},
    Transition<S, SE>{S::sent, SE::not_done, S::planned},
    Transition<S, SE>{S::sent, SE::values_differ, S::conflict},
    Transition<S, SE>{S::sent, SE::refused, S::failed},
};

constexpr std::array kDeliveryStates{D::waiting,  D::staged,      D::imported,
                                     D::rejected, D::quarantined, D::discarded};
constexpr std::array kDeliveryEvents{
    DE::object_confirmed,   DE::outcome_imported, DE::outcome_rejected, DE::outcome_unaccounted,
    DE::attempts_exhausted, DE::input_unusable,   DE::batch_abandoned,  DE::retry_ordered,
    DE::discard_ordered,    DE::received_again};
constexpr std::array kBatchStates{B::open,    B::sealed,     B::staged, B::submitted,
                                  B::settled, B::reconciled, B::stuck,  B::abandoned};
constexpr std::array kBatchEvents{
    BE::seal,       BE::all_staged,        BE::emptied, BE::job_started,  BE::job_ended,
    BE::job_failed, BE::outcomes_recorded, BE::give_up, BE::retry_ordered};
constexpr std::array kImportJobStates{J::intended, J::running, J::succeeded, J::failed, J::lost};
constexpr std::array kImportJobEvents{JE::started, JE::ended_well, JE::ended_badly, JE::not_found};

constexpr std::array kCommitmentStates{C::pending, C::answered, C::delivered, C::refused,
                                       C::expired};
constexpr std::array kCommitmentEvents{CE::evaluated,       CE::acknowledged,
                                       CE::report_refused,  CE::deliveries_expired,
                                       CE::requested_again, CE::resend_ordered};

constexpr std::array kMetadataUpdateStates{U::pending,  U::applying, U::applied,
                                           U::conflict, U::failed,   U::reverted};
constexpr std::array kMetadataUpdateEvents{UE::planned, UE::all_applied,   UE::values_differ,
                                           UE::refused, UE::retry_ordered, UE::revert_applied};
constexpr std::array kMetadataStepStates{S::planned, S::sent, S::applied, S::conflict, S::failed};
constexpr std::array kMetadataStepEvents{SE::intended, SE::confirmed, SE::not_done,
                                         SE::values_differ, SE::refused};

constexpr std::array<std::string_view, 6> kDeliveryStateNames{
    "waiting", "staged", "imported", "rejected", "quarantined", "discarded"};
constexpr std::array<std::string_view, 10> kDeliveryEventNames{
    "object_confirmed",   "outcome_imported", "outcome_rejected", "outcome_unaccounted",
    "attempts_exhausted", "input_unusable",   "batch_abandoned",  "retry_ordered",
    "discard_ordered",    "received_again"};
constexpr std::array<std::string_view, 8> kBatchStateNames{
    "open", "sealed", "staged", "submitted", "settled", "reconciled", "stuck", "abandoned"};
constexpr std::array<std::string_view, 9> kBatchEventNames{
    "seal",       "all_staged",        "emptied", "job_started",  "job_ended",
    "job_failed", "outcomes_recorded", "give_up", "retry_ordered"};
constexpr std::array<std::string_view, 5> kImportJobStateNames{"intended", "running", "succeeded",
                                                               "failed", "lost"};
constexpr std::array<std::string_view, 4> kImportJobEventNames{"started", "ended_well",
                                                               "ended_badly", "not_found"};
constexpr std::array<std::string_view, 5> kCommitmentStateNames{"pending", "answered", "delivered",
                                                                "refused", "expired"};
constexpr std::array<std::string_view, 6> kCommitmentEventNames{
    "evaluated",          "acknowledged",    "report_refused",
    "deliveries_expired", "requested_again", "resend_ordered"};

constexpr std::array<std::string_view, 6> kMetadataUpdateStateNames{
    "pending", "applying", "applied", "conflict", "failed", "reverted"};
constexpr std::array<std::string_view, 6> kMetadataUpdateEventNames{
    "planned", "all_applied", "values_differ", "refused", "retry_ordered", "revert_applied"};
constexpr std::array<std::string_view, 5> kMetadataStepStateNames{"planned", "sent", "applied",
                                                                  "conflict", "failed"};
constexpr std::array<std::string_view, 5> kMetadataStepEventNames{
    "intended", "confirmed", "not_done", "values_differ", "refused"};

template <typename State, typename Event, std::size_t Size>
std::optional<State> find(const std::array<Transition<State, Event>, Size>& table, State from,
                          Event event) {
  for (const auto& row : table) {
    if (row.from == from && row.event == event) return row.to;
  }
  return std::nullopt;
}

template <typename State, std::size_t Size>
std::optional<State> parse(const std::array<std::string_view, Size>& names, std::string_view text) {
  for (std::size_t i = 0; i < Size; ++i) {
    if (names[i] == text) return static_cast<State>(i);
  }
  return std::nullopt;
}

}  // namespace

std::span<const Transition<D, DE>> delivery_transitions() {
  return kDelivery;
}
std::span<const Transition<B, BE>> batch_transitions() {
  return kBatch;
}
std::span<const Transition<J, JE>> import_job_transitions() {
  return kImportJob;
}
std::span<const Transition<C, CE>> commitment_transitions() {
  return kCommitment;
}

std::span<const Transition<U, UE>> metadata_update_transitions() {
  return kMetadataUpdate;
}
std::span<const Transition<S, SE>> metadata_step_transitions() {
  return kMetadataStep;
}

std::optional<D> next(D from, DE event) {
  return find(kDelivery, from, event);
}
std::optional<B> next(B from, BE event) {
  return find(kBatch, from, event);
}
std::optional<J> next(J from, JE event) {
  return find(kImportJob, from, event);
}
std::optional<C> next(C from, CE event) {
  return find(kCommitment, from, event);
}

std::optional<U> next(U from, UE event) {
  return find(kMetadataUpdate, from, event);
}
std::optional<S> next(S from, SE event) {
  return find(kMetadataStep, from, event);
}

std::string_view to_string(D state) {
  return kDeliveryStateNames[static_cast<std::size_t>(state)];
}
std::string_view to_string(DE event) {
  return kDeliveryEventNames[static_cast<std::size_t>(event)];
}
std::string_view to_string(B state) {
  return kBatchStateNames[static_cast<std::size_t>(state)];
}
std::string_view to_string(BE event) {
  return kBatchEventNames[static_cast<std::size_t>(event)];
}
std::string_view to_string(J state) {
  return kImportJobStateNames[static_cast<std::size_t>(state)];
}
std::string_view to_string(JE event) {
  return kImportJobEventNames[static_cast<std::size_t>(event)];
}
std::string_view to_string(C state) {
  return kCommitmentStateNames[static_cast<std::size_t>(state)];
}
std::string_view to_string(CE event) {
  return kCommitmentEventNames[static_cast<std::size_t>(event)];
}
std::string_view to_string(U state) {
  return kMetadataUpdateStateNames[static_cast<std::size_t>(state)];
}
std::string_view to_string(UE event) {
  return kMetadataUpdateEventNames[static_cast<std::size_t>(event)];
}
std::string_view to_string(S state) {
  return kMetadataStepStateNames[static_cast<std::size_t>(state)];
}
std::string_view to_string(SE event) {
  return kMetadataStepEventNames[static_cast<std::size_t>(event)];
}
std::optional<D> delivery_state_from(std::string_view text) {
  return parse<D>(kDeliveryStateNames, text);
}
std::optional<B> batch_state_from(std::string_view text) {
  return parse<B>(kBatchStateNames, text);
}
std::optional<J> import_job_state_from(std::string_view text) {
  return parse<J>(kImportJobStateNames, text);
}
std::optional<C> commitment_state_from(std::string_view text) {
  return parse<C>(kCommitmentStateNames, text);
}

std::optional<U> metadata_update_state_from(std::string_view text) {
  return parse<U>(kMetadataUpdateStateNames, text);
}
std::optional<S> metadata_step_state_from(std::string_view text) {
  return parse<S>(kMetadataStepStateNames, text);
}

std::span<const D> all_delivery_states() {
  return kDeliveryStates;
}
std::span<const DE> all_delivery_events() {
  return kDeliveryEvents;
}
std::span<const B> all_batch_states() {
  return kBatchStates;
}
std::span<const BE> all_batch_events() {
  return kBatchEvents;
}
std::span<const J> all_import_job_states() {
  return kImportJobStates;
}
std::span<const JE> all_import_job_events() {
  return kImportJobEvents;
}
std::span<const C> all_commitment_states() {
  return kCommitmentStates;
}
std::span<const CE> all_commitment_events() {
  return kCommitmentEvents;
}

std::span<const U> all_metadata_update_states() {
  return kMetadataUpdateStates;
}
std::span<const UE> all_metadata_update_events() {
  return kMetadataUpdateEvents;
}
std::span<const S> all_metadata_step_states() {
  return kMetadataStepStates;
}
std::span<const SE> all_metadata_step_events() {
  return kMetadataStepEvents;
}

bool is_final(D state) {
  return state == D::imported || state == D::discarded;
}
bool is_final(B state) {
  return state == B::reconciled || state == B::abandoned;
}
bool is_final(C state) {
  return state == C::delivered;
}
bool is_final(U state) {
  return state == U::applied || state == U::reverted;
}
bool asks_for_person(D state) {
  return state == D::rejected || state == D::quarantined;
}
bool asks_for_person(B state) {
  return state == B::stuck;
}
bool asks_for_person(C state) {
  return state == C::refused || state == C::expired;
}

bool asks_for_person(U state) {
  return state == U::conflict || state == U::failed;
}

}  // namespace isthmus
