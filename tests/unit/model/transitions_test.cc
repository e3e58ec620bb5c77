#include "model/transitions.h"

#include <gtest/gtest.h>

#include <set>

namespace isthmus {
namespace {

template <typename State, typename Event>
void every_pair_is_the_table_or_nothing(std::span<const State> states,
                                        std::span<const Event> events,
                                        std::span<const Transition<State, Event>> table) {
  std::size_t legal = 0;
  for (const State state : states) {
    for (const Event event : events) {
      std::optional<State> expected;
      for (const auto& row : table) {
        if (row.from == state && row.event == event) expected = row.to;
      }
      EXPECT_EQ(next(state, event), expected) << to_string(state) << " " << to_string(event);
      legal += expected.has_value() ? 1 : 0;
    }
  }
  EXPECT_EQ(legal, table.size()) << "a pair stands twice in the table";
}

TEST(Transitions, EveryPairOfEveryMachine) {
  every_pair_is_the_table_or_nothing(all_delivery_states(), all_delivery_events(),
                                     delivery_transitions());
  every_pair_is_the_table_or_nothing(all_batch_states(), all_batch_events(), batch_transitions());
  every_pair_is_the_table_or_nothing(all_import_job_states(), all_import_job_events(),
                                     import_job_transitions());
  every_pair_is_the_table_or_nothing(all_commitment_states(), all_commitment_events(),
                                     commitment_transitions());
  every_pair_is_the_table_or_nothing(all_metadata_update_states(), all_metadata_update_events(),
                                     metadata_update_transitions());
  every_pair_is_the_table_or_nothing(all_metadata_step_states(), all_metadata_step_events(),
                                     metadata_step_transitions());
}

// What was applied is left only because another update reverted it.
TEST(Transitions, AMetadataUpdateGoesOnOrAsksForAPersonOrIsDone) {
  for (const MetadataUpdateState state : all_metadata_update_states()) {
    bool by_itself = false;
    bool by_order = false;
    for (const auto& row : metadata_update_transitions()) {
      const bool ordered = row.event == MetadataUpdateEvent::retry_ordered ||
                           row.event == MetadataUpdateEvent::revert_applied;
      by_itself = by_itself || (row.from == state && !ordered);
      by_order = by_order || (row.from == state && ordered);
    }
    EXPECT_EQ(by_itself, !is_final(state) && !asks_for_person(state)) << to_string(state);
    EXPECT_TRUE(by_order || !asks_for_person(state)) << to_string(state);
  }
}

// A request that was reported is done; but its requester may ask again, and an operator as well.
TEST(Transitions, ACommitmentNeverEndsWhereNobodyCanGoOn) {
  for (const CommitmentState state : all_commitment_states()) {
    bool leaves = false;
    bool by_itself = false;
    for (const auto& row : commitment_transitions()) {
      const bool ordered = row.event == CommitmentEvent::requested_again ||
                           row.event == CommitmentEvent::resend_ordered;
      leaves = leaves || row.from == state;
      by_itself = by_itself || (row.from == state && !ordered);
    }
    EXPECT_TRUE(leaves) << to_string(state);
    EXPECT_EQ(by_itself, !is_final(state) && !asks_for_person(state)) << to_string(state);
  }
}

// I2: what is neither final nor asks for a person can go on. What was discarded is left only
// because its sender sent it again.
TEST(Transitions, NoStateIsADeadEnd) {
  for (const DeliveryState state : all_delivery_states()) {
    bool leaves = false;
    for (const auto& row : delivery_transitions()) {
      leaves = leaves || (row.from == state && row.event != DeliveryEvent::received_again);
    }
    EXPECT_EQ(leaves, !is_final(state)) << to_string(state);
  }
  for (const BatchState state : all_batch_states()) {
    bool leaves = false;
    for (const auto& row : batch_transitions()) leaves = leaves || row.from == state;
    EXPECT_EQ(leaves, !is_final(state)) << to_string(state);
  }
}

TEST(Transitions, NamesGoBothWays) {
  std::set<std::string_view> names;
  for (const DeliveryState state : all_delivery_states()) {
    EXPECT_EQ(delivery_state_from(to_string(state)), state);
  }
  for (const BatchState state : all_batch_states()) {
    EXPECT_EQ(batch_state_from(to_string(state)), state);
  }
  for (const ImportJobState state : all_import_job_states()) {
    EXPECT_EQ(import_job_state_from(to_string(state)), state);
  }
  for (const BatchEvent event : all_batch_events()) {
    EXPECT_TRUE(names.insert(to_string(event)).second);
  }
  for (const CommitmentState state : all_commitment_states()) {
    EXPECT_EQ(commitment_state_from(to_string(state)), state);
  }
  for (const MetadataUpdateState state : all_metadata_update_states()) {
    EXPECT_EQ(metadata_update_state_from(to_string(state)), state);
  }
  for (const MetadataStepState state : all_metadata_step_states()) {
    EXPECT_EQ(metadata_step_state_from(to_string(state)), state);
  }
  names.clear();
  for (const MetadataUpdateEvent event : all_metadata_update_events()) {
    EXPECT_TRUE(names.insert(to_string(event)).second);
  }
  names.clear();
  for (const MetadataStepEvent event : all_metadata_step_events()) {
    EXPECT_TRUE(names.insert(to_string(event)).second);
  }
  names.clear();
  for (const CommitmentEvent event : all_commitment_events()) {
    EXPECT_TRUE(names.insert(to_string(event)).second);
  }
  EXPECT_EQ(batch_state_from("nonsense"), std::nullopt);
}

}  // namespace
}  // namespace isthmus
