#include "ledger/sqlite/update_rows.h"

#include "ledger/sqlite/statements.h"

namespace isthmus {
namespace {

AttributeChange attribute_of(sql::Columns columns) {
  AttributeChange attribute;
  const auto action = attribute_action_from(columns.text());
  const auto level = metadata_level_from(columns.text());
  ASSERT(action && level);  // CHECKs hold them
  attribute.action = *action;
  attribute.level = *level;
  attribute.series_instance_uid = columns.text();
  attribute.sop_instance_uid = columns.text();
  attribute.key = columns.text();
  attribute.vr = columns.text();
  attribute.value = columns.optional_text();
  attribute.expected = columns.optional_text();
  return attribute;
}

MetadataStep step_of(sql::Columns columns) {
  MetadataStep step;
  step.place = columns.integer();
  step.image_set_id = columns.text();
  step.primary = columns.boolean();
  step.carried_by = columns.integer();
  const auto state = metadata_step_state_from(columns.text());
  ASSERT(state.has_value());  // a CHECK holds it
  step.state = *state;
  step.seen_version = columns.integer();
  step.version = columns.integer();
  step.revert_to = columns.integer();
  step.error_code = columns.text();
  step.error = columns.text();
  step.detail = columns.text();
  return step;
}

MetadataStepValue value_of(sql::Columns columns) {
  MetadataStepValue value;
  value.before = columns.optional_text();
  value.wanted = columns.optional_text();
  value.found = columns.optional_text();
  return value;
}

Result<void> store(Write& write, const MetadataUpdateRow& row, MetadataUpdateState from) {
  TRY_ASSIGN(const std::int64_t changed,
             write.db.run(statement::store_metadata_update,
                          {to_string(row.state), row.state_since, row.attempts, row.next_attempt_at,
                           row.error_code, row.error, row.id, to_string(from)}));
  if (changed == 1) return {};
  return no_transition("metadata update", to_string(from), "a change");
}

Result<void> insert_values(Write& write, const MetadataUpdateId& id, std::int64_t place,
                           const std::vector<MetadataStepValue>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    TRY(write.db.run(statement::insert_metadata_value,
                     {id, place, i, values[i].before, values[i].wanted, values[i].found}));
  }
  return {};
}

}  // namespace

MetadataUpdateRow metadata_update_of(sql::Columns columns) {
  MetadataUpdateRow row;
  row.id = id_from<MetadataUpdateId>(columns.text());
  row.order = optional_id_from<MetadataOrderId>(columns.optional_text());
  const auto kind = metadata_update_kind_from(columns.text());
  ASSERT(kind.has_value());  // a CHECK holds it
  row.kind = *kind;
  row.destination = columns.text();
  row.study_instance_uid = Uid::parse(columns.text()).value_or(Uid());
  row.image_set_id = columns.text();
  row.seen_version = columns.integer();
  row.revert_to = columns.integer();
  row.include_study_image_sets = columns.boolean();
  row.reverts = optional_id_from<MetadataUpdateId>(columns.optional_text());
  row.requested_by = columns.text();
  row.requested_at = columns.time();
  const auto state = metadata_update_state_from(columns.text());
  ASSERT(state.has_value());  // a CHECK holds it
  row.state = *state;
  row.state_since = columns.time();
  row.attempts = columns.integer();
  row.next_attempt_at = columns.optional_time();
  row.error_code = columns.text();
  row.error = columns.text();
  return row;
}

Result<MetadataUpdateRow> load_metadata_update(sql::Database& db, const MetadataUpdateId& id) {
  TRY_ASSIGN(auto rows,
             collect(db.query(statement::load_metadata_update, {id}), metadata_update_of));
  if (rows.empty()) return not_found("metadata update");
  return std::move(rows.front());
}

Result<MetadataUpdateDetails> load_metadata_details(sql::Database& db, const MetadataUpdateId& id) {
  MetadataUpdateDetails details;
  TRY_ASSIGN(details.row, load_metadata_update(db, id));
  TRY_ASSIGN(const auto force, db.query_integer(statement::metadata_force, {id}));
  details.change.force = force.value_or(0) != 0;
  TRY_ASSIGN(details.change.attributes,
             collect(db.query(statement::metadata_attributes, {id}), attribute_of));
  TRY_ASSIGN(details.steps, collect(db.query(statement::metadata_steps, {id}), step_of));
  for (MetadataStep& step : details.steps) {
    TRY_ASSIGN(step.values,
               collect(db.query(statement::metadata_values, {id, step.place}), value_of));
  }
  return details;
}

Result<void> apply(Write& write, MetadataUpdateRow& row, MetadataUpdateEvent event,
                   const Error* why) {
  const MetadataUpdateState from = row.state;
  const auto to = next(from, event);
  if (!to) return no_transition("metadata update", to_string(from), to_string(event));
  row.state = *to;
  row.state_since = write.now;
  if (is_final(*to) || asks_for_person(*to)) {
    row.next_attempt_at.reset();
  } else if (!row.next_attempt_at) {
    row.next_attempt_at = write.now;
  }
  if (why != nullptr) {
    row.error_code = why->code;
    row.error = why->message;
  }
  TRY(store(write, row, from));
  return note_metadata(write, row.id, to_string(event), to_string(from), to_string(*to), why);
}

Result<void> save(Write& write, const MetadataUpdateRow& row) {
  return store(write, row, row.state);
}

Result<void> note_metadata(Write& write, const MetadataUpdateId& id, std::string_view event,
                           std::string_view from, std::string_view to, const Error* why) {
  std::string text;
  if (why != nullptr) text = why->message.empty() ? why->code : why->code + ": " + why->message;
  TRY(write.db.run(statement::insert_metadata_history, {write.now, id, event, from, to, text}));
  return {};
}

Result<void> insert_attributes(Write& write, const MetadataUpdateId& id,
                               const MetadataChange& change) {
  for (std::size_t i = 0; i < change.attributes.size(); ++i) {
    const AttributeChange& one = change.attributes[i];
    TRY(write.db.run(statement::insert_metadata_attribute,
                     {id, i, to_string(one.action), to_string(one.level), one.series_instance_uid,
                      one.sop_instance_uid, one.key, one.vr, one.value, one.expected}));
  }
  return {};
}

Result<void> insert_step(Write& write, const MetadataUpdateId& id, const MetadataStep& step) {
  TRY(write.db.run(
      statement::insert_metadata_step,
      {id, step.place, step.image_set_id, step.primary, step.carried_by, to_string(step.state),
       step.seen_version, step.version, step.revert_to, step.error_code, step.error, step.detail}));
  return insert_values(write, id, step.place, step.values);
}

Result<void> change_step(Write& write, const MetadataUpdateId& id, MetadataStep& step,
                         const MetadataStepChange& change) {
  const MetadataStepState from = step.state;
  if (change.event) {
    const auto to = next(from, *change.event);
    if (!to) return no_transition("metadata step", to_string(from), to_string(*change.event));
    step.state = *to;
    TRY(note_metadata(write, id, "step_" + std::string(to_string(*change.event)), to_string(from),
                      to_string(*to), nullptr));
  }
  step.seen_version = change.seen_version.value_or(step.seen_version);
  step.version = change.version.value_or(step.version);
  TRY_ASSIGN(
      const std::int64_t changed,
      write.db.run(statement::store_metadata_step,
                   {to_string(step.state), step.seen_version, step.version, change.error_code,
                    change.error, change.detail, id, step.place, to_string(from)}));
  if (changed != 1) return no_transition("metadata step", to_string(from), "a change");
  if (!change.values) return {};
  TRY(write.db.run(statement::forget_metadata_values, {id, step.place}));
  return insert_values(write, id, step.place, *change.values);
}

}  // namespace isthmus
